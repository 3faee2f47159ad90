"""The daemon's edge, step 3: parse a request, call the engine or forward, convert the answer. No decisions here."""
