// Everything that Mailbind needs in Azure, in one resource group. A managed identity gives access; there are no keys.
targetScope = 'subscription'

@description('Name of the environment. The names of the resources are derived from it.')
@minLength(1)
@maxLength(40)
param environmentName string

@description('Region. It must offer Flex Consumption.')
@metadata({
  azd: {
    type: 'location'
  }
})
param location string

@description('Allowed origins of a redirectUrl, separated by commas, such as https://myapp.example.')
@minLength(9)
param redirectOrigins string

@description('SHA-256 of the first API token, in hexadecimal. Without it, callers need Entra tokens.')
@secure()
param adminTokenSha256 string = ''

@description('Public address of the app, if it has its own domain. The default is the address that Azure assigns.')
param baseUrl string = ''

@description('Id of the Front Door profile in front of the app (X-Azure-FDID). The app then accepts no other requests, and baseUrl is required.')
param frontDoorId string = ''

@description('Address ranges of another reverse proxy in front of the app, separated by commas. Set this or frontDoorId, with the same effect.')
param proxyAddresses string = ''

@description('Whether to create the app registrations in Entra. If you may not, set false and see infra/scripts/app-registration.sh.')
param createAppRegistration bool = true

@description('Client id of an existing app registration, if none is created.')
param oauthClientId string = ''

@description('Client id of an existing app registration of the API, if none is created.')
param apiClientId string = ''

@description('Name of the OAuth app that people see.')
param oauthAppName string = 'Mailbind'

@description('Permissions in mailboxes: Graph (api), or IMAP, POP and SMTP (imap), or both.')
@allowed([
  'api'
  'imap'
  'api,imap'
])
param oauthBaseScopes string = 'api'

@description('Whether one person\'s grant can serve several accounts.')
param credentialReuse bool = false

@description('Whether callers get access tokens. If not, they use mailboxes through Mailbind only (confined access).')
param handOut bool = true

@description('Whether storage and vault can be reached through private endpoints only. The app itself stays public.')
param privateNetworking bool = false

@description('Email address for alerts. Without it, alerts appear in the portal only.')
param alertEmail string = ''

@description('Replication of storage. Use Standard_LRS or Standard_GRS in a region without zones. If the tables are lost, everybody must sign in again.')
@allowed([
  'Standard_LRS'
  'Standard_ZRS'
  'Standard_GRS'
  'Standard_GZRS'
])
param storageSku string = 'Standard_ZRS'

@description('Memory of an instance in MB.')
@allowed([
  512
  2048
  4096
])
param instanceMemory int = 2048

@description('Maximum number of instances.')
@minValue(40)
@maxValue(1000)
param maximumInstances int = 40

@description('Concurrent HTTP requests per instance before the platform adds another. Its default for Python is 1, but these handlers mostly wait. host.json allows 48.')
@minValue(1)
@maxValue(48)
param httpConcurrency int = 32

@description('Instances that always run for HTTP. They avoid cold starts and cost money while idle.')
@minValue(0)
@maxValue(20)
param alwaysReady int = 0

@description('How many days logs and audit records are kept.')
@minValue(30)
@maxValue(730)
param retentionDays int = 90

var token = toLower(uniqueString(subscription().id, environmentName, location))
var tags = { 'azd-env-name': environmentName }
var functionAppName = 'func-mailbind-${token}'
var isBehindProxy = !empty(frontDoorId) || !empty(proxyAddresses)
var callerAudience = 'api://${tenant().tenantId}/mailbind-${token}'
var host = empty(baseUrl) ? (isBehindProxy ? fail('baseUrl must be the address of the proxy in front of the app') : 'https://${functionAppName}.azurewebsites.net') : baseUrl

resource group 'Microsoft.Resources/resourceGroups@2024-03-01' = {
  name: 'rg-${environmentName}'
  location: location
  tags: tags
}

module identity 'app/identity.bicep' = {
  name: 'identity'
  scope: group
  params: {
    name: 'id-mailbind-${token}'
    location: location
    tags: tags
  }
}

module storage 'app/storage.bicep' = {
  name: 'storage'
  scope: group
  params: {
    name: 'stmailbind${token}'
    location: location
    tags: tags
    principalId: identity.outputs.principalId
    sku: storageSku
    isPrivate: privateNetworking
  }
}

module vault 'app/vault.bicep' = {
  name: 'vault'
  scope: group
  params: {
    name: 'kv-${token}'
    location: location
    tags: tags
    principalId: identity.outputs.principalId
    isPrivate: privateNetworking
    workspaceId: monitoring.outputs.workspaceId
  }
}

module monitoring 'app/monitoring.bicep' = {
  name: 'monitoring'
  scope: group
  params: {
    name: 'mailbind-${token}'
    location: location
    tags: tags
    principalId: identity.outputs.principalId
    retentionDays: retentionDays
  }
}

module network 'app/network.bicep' = if (privateNetworking) {
  name: 'network'
  scope: group
  params: {
    name: 'mailbind-${token}'
    location: location
    tags: tags
    storageId: storage.outputs.id
    vaultId: vault.outputs.id
  }
}

module registration 'app/registration.bicep' = if (createAppRegistration) {
  name: 'registration'
  scope: group
  params: {
    uniqueName: 'mailbind-${token}'
    displayName: oauthAppName
    redirectUri: '${host}/oauth'
    principalId: identity.outputs.principalId
    withImap: contains(oauthBaseScopes, 'imap')
    audience: callerAudience
  }
}

module function 'app/function.bicep' = {
  name: 'function'
  scope: group
  params: {
    name: functionAppName
    location: location
    tags: tags
    identityId: identity.outputs.id
    identityClientId: identity.outputs.clientId
    blobEndpoint: storage.outputs.blobEndpoint
    queueEndpoint: storage.outputs.queueEndpoint
    tableEndpoint: storage.outputs.tableEndpoint
    packageContainer: storage.outputs.packageContainer
    wrappingKey: vault.outputs.wrappingKey
    insightsConnectionString: monitoring.outputs.connectionString
    subnetId: privateNetworking ? network!.outputs.functionSubnetId : ''
    instanceMemory: instanceMemory
    maximumInstances: maximumInstances
    httpConcurrency: httpConcurrency
    alwaysReady: alwaysReady
    baseUrl: host
    frontDoorId: frontDoorId
    proxyAddresses: proxyAddresses
    redirectOrigins: redirectOrigins
    adminTokenSha256: adminTokenSha256
    oauthAppId: 'AAAB${take(token, 12)}'
    oauthAppName: oauthAppName
    oauthClientId: createAppRegistration ? registration!.outputs.clientId : oauthClientId
    oauthBaseScopes: oauthBaseScopes
    credentialReuse: credentialReuse
    handOut: handOut
    callerAudience: callerAudience
    apiClientId: createAppRegistration ? registration!.outputs.apiClientId : empty(apiClientId) ? oauthClientId : apiClientId
  }
}

module alerts 'monitoring/alerts.bicep' = {
  name: 'alerts'
  scope: group
  params: {
    location: location
    tags: tags
    insightsId: monitoring.outputs.insightsId
    email: alertEmail
  }
}

module workbook 'monitoring/workbook.bicep' = {
  name: 'workbook'
  scope: group
  params: {
    location: location
    tags: tags
    insightsId: monitoring.outputs.insightsId
  }
}

output AZURE_RESOURCE_GROUP string = group.name
output AZURE_FUNCTION_APP string = function.outputs.name
output MAILBIND_URL string = host
output MAILBIND_REDIRECT_URI string = '${host}/oauth'
output MAILBIND_OAUTH_APP_ID string = 'AAAB${take(token, 12)}'
output MAILBIND_APP_NAME string = 'mailbind-${token}'
output MAILBIND_CALLER_AUDIENCE string = callerAudience
output MAILBIND_IDENTITY_PRINCIPAL_ID string = identity.outputs.principalId
