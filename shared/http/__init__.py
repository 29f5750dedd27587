"""What every HTTP route passes through, on its way in and out.

1. `routes` makes the trigger and the function's name; `audit` gives the request its correlation id.
2. `bounds` refuses what is too large, `callers` finds out who calls and what they may do, `limits` counts the request.
3. The handler, in shared.api or shared.browser, calls one use case.
4. `responses` encodes the answer. `refusals` turns an exception into a refusal, and the audit record is written.
"""
