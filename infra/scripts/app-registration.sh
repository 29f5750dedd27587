#!/usr/bin/env bash
# Creates the two app registrations in Entra with the Azure CLI, for deployments with MAILBIND_CREATE_APP_REGISTRATION=false.
# A person with permission to register applications runs it, so the person who deploys needs no permission in Graph. You can
# run it again.
#
#   infra/scripts/app-registration.sh                     before `azd up`: prints the client ids to set
#   API_URI=MAILBIND_CALLER_AUDIENCE infra/scripts/app-registration.sh MAILBIND_URL MAILBIND_IDENTITY_PRINCIPAL_ID
#                                                         after `azd up`, with its outputs of these names: adds the
#                                                         application ID URI, the redirect URI and the credential
#
# NAME is the name of the registration that people sign in through (default: mailbind). The API's registration is NAME-api.
set -euo pipefail
name=${NAME:-mailbind} url=${1:-} principal=${2:-}
graph=00000003-0000-0000-c000-000000000000
scopes=(
  37f7f235-527c-4136-accd-4a02d197296e # openid
  14dad69e-099b-42c9-810b-d002981feec1 # profile
  7427e0e9-2fba-42fe-b0c0-848c9e6a8182 # offline_access
  e1fe6dd8-ba31-4d61-89e7-88639da4683d # User.Read
  5df07973-7d5d-46ed-9847-1271055cbd51 # Mail.ReadWrite.Shared
  a367ab51-6b49-43bf-a716-a1fb06d2a174 # Mail.Send.Shared
)
if [[ ${WITH_IMAP:-} == true ]]; then
  scopes+=(
    652390e4-393a-48de-9484-05f9b1212954 # IMAP.AccessAsUser.All
    d7b7f2d9-0f45-4ea1-9d42-e50810c06991 # POP.AccessAsUser.All
    258f6531-6087-4cc4-bb90-092c5fb3ed3f # SMTP.Send
  )
fi
access=$(printf '{"id":"%s","type":"Scope"},' "${scopes[@]}")
roles=$(
  for value in register accounts:read accounts:write oauth-token mail:read mail:write mail:send webhooks admin; do
    # The id is derived from the value: with another id, Entra would create another role.
    id=$(printf '%s' "mailbind $value" | sha256sum | sed -E 's/^(.{8})(.{4}).(.{3}).(.{3})(.{12}).*/\1-\2-4\3-8\4-\5/')
    printf '{"id":"%s","value":"%s","displayName":"%s","description":"Mailbind: %s","isEnabled":true,"allowedMemberTypes":["Application"]},' \
      "$id" "$value" "$value" "$value"
  done
)
find_or_create() { # prints the client id of the registration with this name
  local client_id
  client_id=$(az ad app list --display-name "$1" --query "[?displayName=='$1'].appId" --output tsv)
  if [[ $(wc -w <<<"$client_id") -gt 1 ]]; then
    echo "Several app registrations are named $1. Set NAME to another name." >&2
    exit 1
  fi
  if [[ -z $client_id ]]; then
    client_id=$(az ad app create --display-name "$1" --sign-in-audience AzureADMyOrg --query appId --output tsv)
    az ad sp create --id "$client_id" --output none
  fi
  echo "$client_id"
}
client=$(find_or_create "$name")
az ad app update --id "$client" --required-resource-accesses "[{\"resourceAppId\":\"$graph\",\"resourceAccess\":[${access%,}]}]"
api=$(find_or_create "$name-api")
az ad app update --id "$api" --requested-access-token-version 2 --app-roles "[${roles%,}]"
# Entra issues tokens for the API only to applications with one of its roles.
# https://learn.microsoft.com/graph/api/serviceprincipal-update
az rest --method patch --output none --headers Content-Type=application/json --body '{"appRoleAssignmentRequired":true}' \
  --url "$(az cloud show --query endpoints.microsoftGraphResourceId --output tsv | sed 's#/$##')/v1.0/servicePrincipals(appId='$api')"
if [[ -n ${API_URI:-} ]]; then
  az ad app update --id "$api" --identifier-uris "$API_URI"
fi
if [[ -n $url ]]; then
  az ad app update --id "$client" --web-redirect-uris "$url/oauth"
fi
if [[ -n $principal && -z $(az ad app federated-credential list --id "$client" --query "[?subject=='$principal'].id" --output tsv) ]]; then
  authority=$(az cloud show --query endpoints.activeDirectory --output tsv)
  tenant=$(az account show --query tenantId --output tsv)
  az ad app federated-credential create --id "$client" --output none --parameters "{
    \"name\": \"function-${principal:0:8}\", \"description\": \"The managed identity of the Function app\",
    \"issuer\": \"${authority%/}/$tenant/v2.0\", \"subject\": \"$principal\", \"audiences\": [\"api://AzureADTokenExchange\"]}"
fi
echo "Client id: $client. Client id of the API: $api"
echo "Before the deployment, run: azd env set MAILBIND_CREATE_APP_REGISTRATION false; azd env set MAILBIND_OAUTH_CLIENT_ID $client; azd env set MAILBIND_API_CLIENT_ID $api"
