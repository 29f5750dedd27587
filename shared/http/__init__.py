"""The steps that every HTTP request passes through.

1. `operations` declares a route with its handler; `routes` names its function so that the host picks the right one.
2. `handling` takes each request of the API through the steps. `audit` sets its correlation id, `bounds` refuses what is
   too large, the caller is identified, and `limits` counts the request.
3. `decoding` turns the body and the query into the types that the handler takes.
4. The handler, in shared.api or shared.browser, calls one use case.
5. `responses` encodes the answer. `refusals` turns an exception into a refusal, and the audit record is written.
"""
