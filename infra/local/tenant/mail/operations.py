"""Every mail call that the tenant knows, by method and path below a user ({id} is a key)."""

from infra.local.tenant.mail import delta, reading, replies, sending, writing
from infra.local.tenant.mail.call import Operation

READING = {
    ("GET", "mailfolders"): Operation("basic", reading.list_folders),
    ("GET", "mailfolders/$count"): Operation("basic", reading.count_folders),
    ("GET", "mailfolders/delta"): Operation("basic", delta.folder_delta),
    ("GET", "mailfolders/{id}"): Operation("basic", reading.get_folder),
    ("GET", "mailfolders/{id}/childfolders"): Operation("basic", reading.list_child_folders),
    ("GET", "mailfolders/{id}/childfolders/$count"): Operation("basic", reading.count_child_folders),
    ("GET", "mailfolders/{id}/messages"): Operation("basic", reading.list_messages),
    ("GET", "mailfolders/{id}/messages/$count"): Operation("basic", reading.count_messages),
    ("GET", "mailfolders/{id}/messages/delta"): Operation("basic", delta.message_delta),
    ("GET", "messages"): Operation("basic", reading.list_messages),
    ("GET", "messages/$count"): Operation("basic", reading.count_messages),
    ("GET", "messages/{id}"): Operation("basic", reading.get_message),
    ("GET", "messages/{id}/$value"): Operation("read", reading.get_message_mime),
    ("GET", "messages/{id}/attachments"): Operation("read", reading.list_attachments),
    ("GET", "messages/{id}/attachments/$count"): Operation("read", reading.count_attachments),
    ("GET", "messages/{id}/attachments/{id}"): Operation("read", reading.get_attachment),
    ("GET", "messages/{id}/attachments/{id}/$value"): Operation("read", reading.get_attachment_content),
}
WRITING = {
    ("POST", "mailfolders"): Operation("write", writing.create_folder),
    ("PATCH", "mailfolders/{id}"): Operation("write", writing.rename_folder),
    ("DELETE", "mailfolders/{id}"): Operation("write", writing.delete_folder),
    ("POST", "mailfolders/{id}/childfolders"): Operation("write", writing.create_folder),
    ("POST", "mailfolders/{id}/copy"): Operation("write", writing.copy_folder),
    ("POST", "mailfolders/{id}/move"): Operation("write", writing.move_folder),
    ("POST", "mailfolders/{id}/messages"): Operation("write", writing.create_draft),
    ("POST", "messages"): Operation("write", writing.create_draft),
    ("PATCH", "messages/{id}"): Operation("write", writing.update_message),
    ("DELETE", "messages/{id}"): Operation("write", writing.delete_message),
    ("POST", "messages/{id}/copy"): Operation("write", writing.copy_message),
    ("POST", "messages/{id}/move"): Operation("write", writing.move_message),
    ("POST", "messages/{id}/permanentdelete"): Operation("write", writing.delete_permanently),
    ("POST", "messages/{id}/attachments"): Operation("write", writing.add_attachment),
    ("POST", "messages/{id}/attachments/createuploadsession"): Operation("write", writing.create_upload_session),
    ("DELETE", "messages/{id}/attachments/{id}"): Operation("write", writing.delete_attachment),
}
SENDING = {
    ("POST", "sendmail"): Operation("send", sending.send_mail),
    ("POST", "messages/{id}/send"): Operation("send", sending.send_draft),
    ("POST", "messages/{id}/reply"): Operation("send", replies.reply),
    ("POST", "messages/{id}/replyall"): Operation("send", replies.reply_all),
    ("POST", "messages/{id}/forward"): Operation("send", replies.forward),
    ("POST", "messages/{id}/createreply"): Operation("write", replies.create_reply),
    ("POST", "messages/{id}/createreplyall"): Operation("write", replies.create_reply_all),
    ("POST", "messages/{id}/createforward"): Operation("write", replies.create_forward),
}
SETTINGS = {
    (method, shape): Operation("settings", reading.refuse_settings)
    for method in ("GET", "PATCH", "POST")
    for shape in ("mailboxsettings", "mailfolders/{id}/messagerules", "outlook/mastercategories")
}
OPERATIONS = READING | WRITING | SENDING | SETTINGS
