"""Who may do what, at every address of the site; `test_permissions` asks each of them."""

# ruff: noqa: E501
from __future__ import annotations

from dataclasses import dataclass

# Alice is the user: what an address names is hers. Staff have no permission but to open the admin.
PEOPLE = ("nobody", "user", "other", "staff", "finance", "superuser")

# What each is answered: `in`, the way to a sign-in; otherwise the status.
# HEAD is answered as GET is, or refused where the row says GET!. Behind `|` is what is sent.
PAGES = """
GET     /                                              in   200  200  200  200  200
GET     /side/                                         in   200  200  200  200  200
GET     /c/{conversation}/                             in   200  404  404  404  404
POST    /send/                                         in   402  402  402  402  402  | content=Hello
POST    /c/{conversation}/send/                        in   402  404  404  404  404  | content=Hello
GET     /import/                                       in   200  200  200  200  200
POST    /import/                                       in   400  400  400  400  400
GET     /usage/                                        in   200  200  200  200  200

GET     /reports/                                      in   404  404  404  200  200
GET     /reports/people/                               in   404  404  404  200  200  | q=al
GET!    /reports/download/                             in   404  404  404  200  200  | format=csv
POST    /reports/runs/                                 in   404  404  404  302  302  | format=csv
GET     /reports/runs/{run}/                           in   404  404  404  200  200
POST    /reports/runs/{run}/cancel/                    in   404  404  404  302  302
GET     /reports/runs/{run}/file/                      in   404  404  404  200  200
GET     /reports/reconcile/                            in   404  404  404  200  200
POST    /reports/reconcile/                            in   404  404  404  400  400  | first=x
GET     /reports/reconcile/{comparison}/               in   404  404  404  200  200
POST    /reports/reconcile/{comparison}/book/          in   404  404  404  302  302  | all=1&reason=Agreed
GET     /reports/reconcile/{comparison}/report.json    in   404  404  404  200  200
GET     /reports/close/2026-01/                        in   404  404  404  200  200
POST    /reports/close/2026-01/                        in   404  404  404  409  409

GET     /language/                                     302  302  302  302  302  302
POST    /language/                                     302  302  302  302  302  302  | language=en
GET     /accounts/                                     302  302  302  302  302  302
GET     /accounts/profile/                             in   200  200  200  200  200
POST    /accounts/profile/                             in   302  302  302  302  302  | name=Al
GET     /accounts/data/                                in   200  200  200  200  200
GET     /accounts/delete/                              in   200  200  200  200  200
POST    /accounts/delete/                              in   400  400  400  400  400
GET     /accounts/deleted/                             200  200  200  200  200  200
GET     /accounts/tokens/                              in   200  200  200  200  200
POST    /accounts/tokens/                              in   400  400  400  400  400
POST    /accounts/tokens/{token}/revoke/               in   302  404  404  404  404
GET     /accounts/sessions/                            in   200  200  200  200  200
POST    /accounts/sessions/end/                        in   302  302  302  302  302
POST    /accounts/sessions/{session}/end/              in   302  404  404  404  404

GET     /accounts/login/                               200  302  302  302  302  302
POST    /accounts/login/                               200  302  302  302  302  302
GET     /accounts/login/code/confirm/                  in   302  302  302  302  302
POST    /accounts/login/code/confirm/                  in   302  302  302  302  302
GET     /accounts/logout/                              302  200  200  200  200  200
POST    /accounts/logout/                              302  302  302  302  302  302
GET     /accounts/inactive/                            200  200  200  200  200  200
GET     /accounts/signup/                              200  302  302  302  302  302
POST    /accounts/signup/                              200  302  302  302  302  302
GET     /accounts/reauthenticate/                      in   200  200  200  200  200
POST    /accounts/reauthenticate/                      in   200  200  200  200  200
GET     /accounts/email/                               in   200  200  200  200  200
POST    /accounts/email/                               in   302  302  302  302  302
GET     /accounts/confirm-email/                       200  200  200  200  200  200
GET     /accounts/confirm-email/{confirmation}/        200  200  200  200  200  200
POST    /accounts/confirm-email/nonsense/              404  404  404  404  404  404
GET     /accounts/password/change/                     in   200  200  200  200  200
POST    /accounts/password/change/                     in   200  200  200  200  200
GET     /accounts/password/set/                        in   302  302  302  302  302
POST    /accounts/password/set/                        in   302  302  302  302  302
GET     /accounts/password/reset/                      200  200  200  200  200  200
POST    /accounts/password/reset/                      200  200  200  200  200  200
GET     /accounts/password/reset/done/                 200  200  200  200  200  200
GET     /accounts/password/reset/key/1-nonsense/       200  200  200  200  200  200
POST    /accounts/password/reset/key/1-nonsense/       200  200  200  200  200  200
GET     /accounts/password/reset/key/done/             200  200  200  200  200  200
GET     /accounts/2fa/                                 in   200  200  200  200  200
GET     /accounts/2fa/authenticate/                    in   302  302  302  302  302
POST    /accounts/2fa/authenticate/                    in   302  302  302  302  302
GET     /accounts/2fa/reauthenticate/                  in   302  302  302  302  302
POST    /accounts/2fa/reauthenticate/                  in   302  302  302  302  302
GET     /accounts/2fa/totp/activate/                   in   302  302  302  302  302
POST    /accounts/2fa/totp/activate/                   in   302  302  302  302  302
GET     /accounts/2fa/totp/deactivate/                 in   404  404  404  404  404
POST    /accounts/2fa/totp/deactivate/                 in   404  404  404  404  404
GET     /accounts/2fa/recovery-codes/                  in   404  404  404  404  404
GET     /accounts/2fa/recovery-codes/generate/         in   200  200  200  200  200
POST    /accounts/2fa/recovery-codes/generate/         in   200  200  200  200  200
GET     /accounts/2fa/recovery-codes/download/         in   404  404  404  404  404
GET     /accounts/2fa/webauthn/                        in   200  200  200  200  200
GET     /accounts/2fa/webauthn/add/                    in   302  302  302  302  302
POST    /accounts/2fa/webauthn/add/                    in   302  302  302  302  302
GET     /accounts/2fa/webauthn/reauthenticate/         in   302  302  302  302  302
POST    /accounts/2fa/webauthn/reauthenticate/         in   302  302  302  302  302
GET     /accounts/2fa/webauthn/keys/{passkey}/edit/    in   200  404  404  404  404
POST    /accounts/2fa/webauthn/keys/{passkey}/edit/    in   302  404  404  404  404  | name=Key
GET     /accounts/2fa/webauthn/keys/{passkey}/remove/  in   200  404  404  404  404
POST    /accounts/2fa/webauthn/keys/{passkey}/remove/  in   302  404  404  404  404
GET     /accounts/2fa/webauthn/login/                  in   302  302  302  302  302
POST    /accounts/2fa/webauthn/login/                  in   302  302  302  302  302

GET     /api/conversations/                            401  200  200  200  200  200
POST    /api/conversations/                            401  201  201  201  201  201
GET     /api/conversations/{conversation}/             401  200  404  404  404  404
PATCH   /api/conversations/{conversation}/             401  200  404  404  404  404  | title=Mine
DELETE  /api/conversations/{conversation}/             401  204  404  404  404  404
POST    /api/conversations/{deleted}/restore/          401  200  404  404  404  404
GET     /api/conversations/{conversation}/usage/       401  200  404  404  404  404
GET     /api/conversations/{conversation}/export/      401  200  404  404  404  404
GET     /api/conversations/{conversation}/messages/    401  200  404  404  404  404
POST    /api/conversations/{conversation}/messages/    401  402  404  404  404  404  | content=Hello
GET     /api/messages/{message}/                       401  200  404  404  404  404
POST    /api/messages/{message}/regenerate/            401  402  404  404  404  404
GET     /api/messages/{message}/events/                401  200  404  404  404  404
POST    /api/messages/{message}/stop/                  401  200  404  404  404  404
POST    /api/messages/{message}/select/                401  200  404  404  404  404
GET     /api/messages/{message}/siblings/              401  200  404  404  404  404
POST    /api/quote/                                    401  200  404  404  404  404  | content=x&conversation={conversation}
GET     /api/search/                                   401  200  200  200  200  200  | q=secret
GET     /api/export/                                   401  200  200  200  200  200
GET     /api/imports/                                  401  200  200  200  200  200
POST    /api/imports/                                  401  415  415  415  415  415
GET     /api/imports/{import}/                         401  200  404  404  404  404
GET     /api/usage/                                    401  200  200  200  200  200
GET     /api/usage/export/                             401  200  200  200  200  200
GET     /api/budget/                                   401  200  200  200  200  200
GET     /api/tokens/                                   401  200  200  200  200  200
DELETE  /api/tokens/{token}/                           401  204  404  404  404  404
GET     /api/reports/usage/                            401  404  404  404  200  200
GET!    /api/reports/usage/                            401  404  404  404  200  200  | format=csv
GET     /api/reports/focus-metadata/                   401  404  404  404  200  200
GET     /api/reports/runs/                             401  404  404  404  200  200
POST    /api/reports/runs/                             401  404  404  404  202  202
GET     /api/reports/runs/{run}/                       401  404  404  404  200  200
POST    /api/reports/runs/{run}/cancel/                401  404  404  404  200  200
GET     /api/reports/runs/{run}/file/                  401  404  404  404  200  200
GET     /api/schema/                                   200  200  200  200  200  200
GET     /api/docs/                                     200  200  200  200  200  200
GET     /api/nothing                                   404  404  404  404  404  404
POST    /api/nothing                                   404  404  404  404  404  404
GET     /healthz                                       200  200  200  200  200  200
GET     /readyz                                        200  200  200  200  200  200
GET     /metrics                                       200  200  200  200  200  200
"""

# Of each WebSocket: the code with which it is closed, or that it stays open, or that there is none.
SOCKETS = """
WS      /ws/conversations/{conversation}/              4401 open 4404 4404 4404 4404
WS      /ws/me/                                        4401 open open open open open
WS      /ws/nothing                                    none none none none none none
"""

# The same of the admin. A viewer is of finance and may see all of our own apps but text; a clerk has every permission
# there but that one, and is no superuser.
ADMINS = ("nobody", "user", "finance", "staff", "viewer", "clerk", "superuser")
OFFICE = """
GET     /admin/                                        in   in   in   200  200  200  200
GET     /admin/login/                                  in   403  403  302  302  302  302
POST    /admin/login/                                  in   403  403  200  200  200  200
POST    /admin/logout/                                 302  302  302  200  200  200  200
GET     /admin/password_change/                        in   in   in   200  200  200  200
POST    /admin/password_change/                        in   in   in   200  200  200  200
GET     /admin/password_change/done/                   in   in   in   200  200  200  200
GET     /admin/autocomplete/                           in   in   in   403  200  200  200  | app_label=billing&model_name=budget&field_name=user
GET     /admin/jsi18n/                                 in   in   in   200  200  200  200
GET     /admin/r/1/1/                                  in   in   in   404  404  404  404
GET     /admin/billing/                                in   in   in   404  200  200  200
GET     /admin/auth/                                   in   in   in   404  404  404  200
GET     /admin/nothing                                 in   in   in   404  404  404  404
GET     /admin/account/emailaddress/                   in   in   in   404  404  404  404
POST    /admin/account/emailaddress/add/               in   in   in   404  404  404  404
GET     /admin/accounts/user/{user}/spend/             in   in   in   403  200  200  200
GET     /admin/accounts/user/{user}/password/          in   in   in   403  403  200  200
POST    /admin/accounts/user/{user}/password/          in   in   in   403  403  200  200
GET     /admin/accounts/user/{superuser}/password/     in   in   in   403  403  403  200
GET     /admin/accounts/user/{superuser}/change/       in   in   in   403  200  200  200
POST    /admin/accounts/user/{superuser}/change/       in   in   in   403  403  403  200
GET     /admin/billing/usagerecord/{record}/correct/   in   in   in   403  403  200  200
POST    /admin/billing/usagerecord/{record}/correct/   in   in   in   403  403  200  200
"""


# Its pages of each table; the letter says what somebody must be allowed to do there.
ADMIN_PAGES = (
    ("GET", "", "v"), ("GET", "{pk}/change/", "v"), ("GET", "{pk}/history/", "v"), ("GET", "add/", "a"),
    ("GET", "{pk}/delete/", "d"), ("POST", "add/", "a"), ("POST", "{pk}/delete/", "d"), ("POST", "{pk}/change/", "c"),
)  # fmt: skip

# What may be done to the rows of each table, by a clerk and by a superuser: v, see; a, add; c, change; d, delete; and
# the actions of its list, which both have who may see. A viewer sees what a clerk sees; for others there is nothing.
TABLES = """
accounts.deletion           v     v
accounts.token              vc    vc    revoke
accounts.user               vac   vac   disable enable set_budget raise_limit grant_credit write_off
auth.group                  .     vacd  delete_selected
billing.account             v     v
billing.act                 v     v
billing.budget              vac   vac
billing.budgetperiod        v     v
billing.dailyspend          v     v
billing.dailytotal          v     v
billing.exportrun           v     v
billing.hold                v     v
billing.modelalias          vad   vad
billing.monthclosing        va    va
billing.monthlyspend        v     v
billing.notice              v     v
billing.price               va    va
billing.proposal            v     v
billing.reconciliation      v     v
billing.uncountedrecord     v     v
billing.usagerecord         v     v
conversations.conversation  v     v
conversations.delta         v     v
conversations.importpart    v     v
conversations.importrun     v     v
conversations.message       v     v
mfa.authenticator           .     vd
"""


@dataclass(frozen=True)
class Row:
    """An address and what each is answered there. `sent`: as a query, a form or, at the API, JSON."""

    method: str
    path: str
    answers: dict[str, str]
    sent: str


def rows(table: str, people: tuple[str, ...]) -> list[Row]:
    """What a table above says."""
    found = []
    for line in filter(None, table.splitlines()):
        cells, _, sent = line.partition("|")
        method, path, *answers = cells.split()
        found.append(Row(method, path, dict(zip(people, answers, strict=True)), sent.strip()))
    return found


def tables() -> dict[str, tuple[str, str, list[str]]]:
    """By the label of a model: what a clerk and a superuser may, and its actions."""
    lines = [line.split() for line in filter(None, TABLES.splitlines())]
    return {label: (clerk, superuser, actions) for label, clerk, superuser, *actions in lines}
