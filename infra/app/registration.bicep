// Two app registrations in Entra. People sign in through the first; its credential is the managed identity, so no secret
// expires. The second is the API, which callers request tokens for. To deploy this, you need Application.ReadWrite.All or
// Application.ReadWrite.OwnedBy in Graph.
extension microsoftGraphV1

param uniqueName string
param displayName string
param redirectUri string
param principalId string
param withImap bool
param audience string

var graph = '00000003-0000-0000-c000-000000000000'
// Delegated permissions: https://learn.microsoft.com/graph/permissions-reference
var graphScopes = {
  openid: '37f7f235-527c-4136-accd-4a02d197296e'
  profile: '14dad69e-099b-42c9-810b-d002981feec1'
  offline_access: '7427e0e9-2fba-42fe-b0c0-848c9e6a8182'
  'User.Read': 'e1fe6dd8-ba31-4d61-89e7-88639da4683d'
  'Mail.ReadWrite.Shared': '5df07973-7d5d-46ed-9847-1271055cbd51'
  'Mail.Send.Shared': 'a367ab51-6b49-43bf-a716-a1fb06d2a174'
}
var imapScopes = {
  'IMAP.AccessAsUser.All': '652390e4-393a-48de-9484-05f9b1212954'
  'POP.AccessAsUser.All': 'd7b7f2d9-0f45-4ea1-9d42-e50810c06991'
  'SMTP.Send': '258f6531-6087-4cc4-bb90-092c5fb3ed3f'
}
var requestedScopes = withImap ? union(graphScopes, imapScopes) : graphScopes
var access = [for scope in items(requestedScopes): {
  id: scope.value
  type: 'Scope'
}]

// App roles for callers. The values are Mailbind's scopes.
var callerRoles = [
  {
    value: 'register'
    about: 'Create sign-in links, read their status and end them'
  }
  {
    value: 'accounts:read'
    about: 'Read accounts and statistics'
  }
  {
    value: 'accounts:write'
    about: 'Rename, pause, reconnect and remove accounts; with register, change their person or mailbox'
  }
  {
    value: 'oauth-token'
    about: 'Get access tokens for mailboxes'
  }
  {
    value: 'mail:read'
    about: 'Read the mail of mailboxes'
  }
  {
    value: 'mail:write'
    about: 'Change, move and delete the mail of mailboxes, and write drafts'
  }
  {
    value: 'mail:send'
    about: 'Send mail from mailboxes'
  }
  {
    value: 'webhooks'
    about: 'Subscribe to events'
  }
  {
    value: 'admin'
    about: 'Do everything'
  }
]
var roles = [for role in callerRoles: {
  id: guid(uniqueName, role.value)
  value: role.value
  displayName: role.value
  description: role.about
  isEnabled: true
  allowedMemberTypes: [
    'Application'
  ]
}]

resource application 'Microsoft.Graph/applications@v1.0' = {
  uniqueName: uniqueName
  displayName: displayName
  signInAudience: 'AzureADMyOrg'
  web: {
    redirectUris: [
      redirectUri
    ]
    implicitGrantSettings: {
      enableAccessTokenIssuance: false
      enableIdTokenIssuance: false
    }
  }
  requiredResourceAccess: [
    {
      resourceAppId: graph
      resourceAccess: access
    }
  ]
}

// Assignment is not required here, because each person who signs in would need one.
resource servicePrincipal 'Microsoft.Graph/servicePrincipals@v1.0' = {
  appId: application.appId
}

resource api 'Microsoft.Graph/applications@v1.0' = {
  uniqueName: '${uniqueName}-api'
  displayName: '${displayName} API'
  signInAudience: 'AzureADMyOrg'
  identifierUris: [
    audience
  ]
  api: {
    requestedAccessTokenVersion: 2
  }
  appRoles: roles
}

// Entra issues tokens for the API only to applications with one of its roles.
resource apiPrincipal 'Microsoft.Graph/servicePrincipals@v1.0' = {
  appId: api.appId
  appRoleAssignmentRequired: true
}

resource credential 'Microsoft.Graph/applications/federatedIdentityCredentials@v1.0' = {
  name: '${application.uniqueName}/function'
  description: 'The managed identity of the Function app'
  issuer: '${environment().authentication.loginEndpoint}${tenant().tenantId}/v2.0'
  subject: principalId
  audiences: [
    'api://AzureADTokenExchange'
  ]
}

output clientId string = application.appId
output apiClientId string = api.appId
