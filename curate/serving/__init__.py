"""The safeguard as a service: pictures come over HTTP, decisions go back. Needs the extra `serve`.

Nouns: `Service` (all that requests share), `Asked`, `Answered`, `Refused`.
Law: a request ends in decisions on exactly the pictures it brought, or in an error; nothing of an image is stored.

| module | does |
|---|---|
| server | listens, loads, answers, drains |
| app, request_log | which path leads to what; around every request: its id, its line, its time |
| answering | the way of every request that asks for a judgement |
| openai_moderations, judge_endpoint, litellm_guardrail | a contract each |
| request_body, image_input, fetching | what arrives, within its bounds; links, and where they may lead |
| auth, admission | who asks; who gets in |
| served_policies | what is judged under |
| errors, metrics, audit_log | what is refused, counted, recorded |
| page | the page to try a policy on |
"""

__all__ = ("server",)
