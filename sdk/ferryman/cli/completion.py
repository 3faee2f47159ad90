"""`ferry completion`: the script that completes commands and options in a shell."""

from __future__ import annotations

from typing import Annotated

import typer

from ferryman.cli.faults import Problem
from ferryman.cli.session import among, new_app, session_of

app = new_app("Print the completion script of a shell.")

SHELLS = ("bash", "zsh", "fish")
_INSTALL = {
    "bash": "ferry completion bash > ~/.local/share/bash-completion/completions/ferry",
    "zsh": "ferry completion zsh > ~/.zfunc/_ferry   (a directory in your $fpath)",
    "fish": "ferry completion fish > ~/.config/fish/completions/ferry.fish",
}


@app.command()
def completion(
    context: typer.Context,
    shell: Annotated[str, typer.Argument(metavar="bash|zsh|fish", help="The shell.", autocompletion=among(*SHELLS))],
) -> None:
    """Print the completion script of a shell, to be saved where the shell looks for it."""
    session = session_of(context)
    if shell not in SHELLS:
        raise Problem(f"there is no completion for {shell!r}", f"Use {', '.join(SHELLS)}.")
    from typer._completion_shared import get_completion_script

    script = get_completion_script(prog_name="ferry", complete_var="_FERRY_COMPLETE", shell=shell)
    if shell == "zsh":
        script = _at_first_tab(script)
    session.out.result("completion", {"shell": shell, "script": script}, script)
    session.out.say(f"To keep it:  {_INSTALL[shell]}")


def _at_first_tab(script: str) -> str:
    """typer's script for zsh, saved in `$fpath`, only defines itself when first called: have it complete too."""
    define = "compdef _ferry_completion ferry"
    called = 'if [[ $zsh_eval_context[-1] == loadautofunc ]]; then\n  _ferry_completion "$@"\nfi'
    return script.replace(define, f"{define}\n{called}")
