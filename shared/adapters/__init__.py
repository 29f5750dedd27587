"""How the ports are met: Entra, Graph, Table Storage, sealing."""
