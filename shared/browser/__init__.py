"""The pages that people see: those of a sign-in, and the start page.

    GET  /               what runs here, and how it is (`start_page`)
    GET  /accounts/new   open the link by its ticket. The page says who asks for what, and a cookie ties this browser to
                         the sign-in.
    POST /accounts/new   a button: continue to Entra, keep checking, or finish what an outage interrupted.
    POST /oauth          Entra sends the person back: redeem the code, prove access, bind.
    GET  /oauth          Entra sends an error, or an administrator who has consented.

`sign_in_pages` declares the others; each reads the request and calls one use case of shared.usecases.sign_in, which
decides. `outcomes` turns the result into a page, and `redirect` makes the URL that leads back to the caller's page.
`handling` checks the bounds of a request, writes its audit record, and answers an exception with a page. `remedies` has
the text and the status of each failure, and `pages` renders the `templates`. `unmatched` answers all other paths.
"""
