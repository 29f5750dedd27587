"""Infrastructure: what Mailbind runs on, in Azure and on this computer."""
