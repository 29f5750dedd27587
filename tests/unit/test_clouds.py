"""What an OAuth app asks for."""

from shared.domain.clouds import Cloud

GLOBAL = Cloud("https://login.microsoftonline.com", "https://graph.microsoft.com", "https://outlook.office.com")


def test_graph_scopes_have_full_names_of_their_cloud() -> None:
    cloud = Cloud("https://login.microsoftonline.us", "https://graph.microsoft.us", "https://outlook.office365.us")

    assert "https://graph.microsoft.us/Mail.ReadWrite.Shared" in cloud.scopes(["api"])
    assert "https://outlook.office365.us/SMTP.Send" in cloud.scopes(["imap"])


def test_extra_scopes_are_added_once_and_short_names_are_of_graph() -> None:
    asked = GLOBAL.scopes(["api"], extra=["Calendars.Read.Shared", "User.Read", "https://outlook.office.com/SMTP.Send"])

    assert 1 == asked.count("https://graph.microsoft.com/User.Read")
    assert ("https://graph.microsoft.com/Calendars.Read.Shared", "https://outlook.office.com/SMTP.Send") == asked[-2:]


def test_skipped_scopes_are_left_out_by_short_and_by_full_name_in_any_case() -> None:
    skip = ["mail.send.shared", "https://outlook.office.com/POP.AccessAsUser.All"]

    asked = GLOBAL.scopes(["api", "imap"], skip=skip)

    assert not [scope for scope in asked if scope.endswith(("Mail.Send.Shared", "POP.AccessAsUser.All"))]
    assert 4 == len(asked)
