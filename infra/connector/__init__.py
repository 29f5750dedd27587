"""The Power Platform connector, made of the description of the API."""
