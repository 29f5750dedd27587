"""Mail as the API of `/v1/account/{account}/…` shows it, and its translation from and to Microsoft Graph's.

Everything here is a pure function of Graph's JSON or of a request. The use cases of `shared.usecases.mail` make the
calls.
"""
