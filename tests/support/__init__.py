"""What tests need to start real daemons, hubs and bad networks. No assertions about the product live here."""
