// The Function app on Flex Consumption, with all its settings.
param name string
param location string
param tags object
param identityId string
param identityClientId string
param blobEndpoint string
param queueEndpoint string
param tableEndpoint string
param packageContainer string
param wrappingKey string
param insightsConnectionString string
param subnetId string
param instanceMemory int
param maximumInstances int
param httpConcurrency int
param alwaysReady int
param baseUrl string
param frontDoorId string
param proxyAddresses string
param redirectOrigins string
@secure()
param adminTokenSha256 string
param oauthAppId string
param oauthAppName string
param oauthClientId string
param oauthBaseScopes string
param credentialReuse bool
param handOut bool
param callerAudience string
param apiClientId string

// Behind a proxy, only the proxy can reach the app, because the app trusts the address in X-Forwarded-For.
// https://learn.microsoft.com/azure/app-service/app-service-ip-restrictions
var frontDoorRules = empty(frontDoorId) ? [] : [
  {
    name: 'front-door'
    action: 'Allow'
    priority: 100
    tag: 'ServiceTag'
    ipAddress: 'AzureFrontDoor.Backend'
    headers: {
      'x-azure-fdid': [
        frontDoorId
      ]
    }
  }
]
var proxyRanges = empty(proxyAddresses) ? [] : split(proxyAddresses, ',')
var addressRules = [for (range, index) in proxyRanges: {
  name: 'proxy-${index}'
  action: 'Allow'
  priority: 200 + index
  ipAddress: trim(range)
}]
var proxyRules = concat(frontDoorRules, addressRules)

// The host reads a body completely before it runs the app: up to 100 MB by default. It answers a larger one with an empty
// 500. The largest request of a route is 4 MiB, a call to Graph's mail. This limit is 64 KiB more, so that the app can answer
// a slightly too large request with an error message (413). docs/limits.md calculates the memory.
var requestLimits = loadJsonContent('../request-limits.json')

resource plan 'Microsoft.Web/serverfarms@2025-03-01' = {
  name: 'plan-${name}'
  location: location
  tags: tags
  kind: 'functionapp'
  sku: {
    name: 'FC1'
    tier: 'FlexConsumption'
  }
  properties: {
    reserved: true
  }
}

resource site 'Microsoft.Web/sites@2025-03-01' = {
  name: name
  location: location
  tags: union(tags, { 'azd-service-name': 'api' })
  kind: 'functionapp,linux'
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${identityId}': {}
    }
  }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    clientAffinityEnabled: false
    virtualNetworkSubnetId: empty(subnetId) ? null : subnetId
    functionAppConfig: {
      deployment: {
        storage: {
          type: 'blobContainer'
          value: '${blobEndpoint}${packageContainer}'
          authentication: {
            type: 'UserAssignedIdentity'
            userAssignedIdentityResourceId: identityId
          }
        }
      }
      runtime: {
        name: 'python'
        version: '3.13'
      }
      scaleAndConcurrency: {
        instanceMemoryMB: instanceMemory
        maximumInstanceCount: maximumInstances
        alwaysReady: alwaysReady == 0 ? [] : [
          {
            name: 'http'
            instanceCount: alwaysReady
          }
        ]
        triggers: {
          http: {
            perInstanceConcurrency: httpConcurrency
          }
        }
      }
    }
    siteConfig: {
      minTlsVersion: '1.2'
      scmMinTlsVersion: '1.2'
      http20Enabled: true
      ipSecurityRestrictions: proxyRules
      ipSecurityRestrictionsDefaultAction: empty(proxyRules) ? 'Allow' : 'Deny'
    }
  }
}

// Deployments authenticate with Entra, so passwords are disabled.
resource ftpPassword 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2025-03-01' = {
  parent: site
  name: 'ftp'
  properties: {
    allow: false
  }
}

resource scmPassword 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2025-03-01' = {
  parent: site
  name: 'scm'
  properties: {
    allow: false
  }
}

resource settings 'Microsoft.Web/sites/config@2025-03-01' = {
  parent: site
  name: 'appsettings'
  properties: {
    AzureWebJobsStorage__credential: 'managedidentity'
    AzureWebJobsStorage__clientId: identityClientId
    AzureWebJobsStorage__blobServiceUri: blobEndpoint
    AzureWebJobsStorage__queueServiceUri: queueEndpoint
    AzureWebJobsStorage__tableServiceUri: tableEndpoint
    APPLICATIONINSIGHTS_CONNECTION_STRING: insightsConnectionString
    APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'ClientId=${identityClientId};Authorization=AAD'
    // Log lines belong to the trace of their invocation. Alerts and charts count lines, so no trace may be dropped.
    OTEL_TRACES_SAMPLER: 'microsoft.fixed_percentage'
    OTEL_TRACES_SAMPLER_ARG: '1.0'
    FUNCTIONS_REQUEST_BODY_SIZE_LIMIT: string(requestLimits.largestRequestBodyBytes)
    // While the functions are not loaded, / would show Microsoft's page that says that the app is up and running.
    AzureWebJobsDisableHomepage: 'true'
    AZURE_CLIENT_ID: identityClientId
    REFRESH_SCHEDULE: '0 * * * * *'
    REAP_SCHEDULE: '0 */5 * * * *'
    SWEEP_SCHEDULE: '0 30 3 * * *'
    DELIVER_SCHEDULE: '*/10 * * * * *'
    MAILBIND_TABLES: tableEndpoint
    MAILBIND_BASE_URL: baseUrl
    MAILBIND_REDIRECT_ORIGINS: redirectOrigins
    MAILBIND_PROXIES: empty(proxyRules) ? '0' : '1'
    MAILBIND_KEY_VAULT_KEY: wrappingKey
    MAILBIND_CALLERS: empty(adminTokenSha256) ? 'entra' : 'tokens,entra'
    MAILBIND_ADMIN_TOKEN_SHA256: adminTokenSha256
    MAILBIND_CALLER_AUDIENCE: '${callerAudience},${apiClientId}'
    MAILBIND_OAUTH_APP_ID: oauthAppId
    MAILBIND_OAUTH_APP_NAME: oauthAppName
    MAILBIND_OAUTH_CLIENT_ID: oauthClientId
    MAILBIND_OAUTH_TENANT: tenant().tenantId
    MAILBIND_OAUTH_AUTHENTICATION: 'federated'
    MAILBIND_OAUTH_BASE_SCOPES: oauthBaseScopes
    MAILBIND_OAUTH_CREDENTIAL_REUSE: string(credentialReuse)
    MAILBIND_HAND_OUT: string(handOut)
  }
}

output name string = site.name
