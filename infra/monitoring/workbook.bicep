// The pictures that operators want, on one page.
param location string
param tags object
param insightsId string

var pictures = [
  {
    title: 'Accounts by state'
    query: loadTextContent('accounts.kql')
    chart: 'linechart'
    width: '50'
  }
  {
    title: 'Refreshes, and failures by kind'
    query: loadTextContent('refreshes.kql')
    chart: 'barchart'
    width: '50'
  }
  {
    title: 'The agenda: due, overdue, and the oldest in seconds'
    query: loadTextContent('agenda.kql')
    chart: 'linechart'
    width: '50'
  }
  {
    title: 'Tokens handed out'
    query: loadTextContent('hand-outs.kql')
    chart: 'barchart'
    width: '50'
  }
  {
    title: 'Registrations'
    query: loadTextContent('sign-ins.kql')
    chart: 'barchart'
    width: '50'
  }
  {
    title: 'Events delivered to webhooks'
    query: loadTextContent('webhooks.kql')
    chart: 'barchart'
    width: '50'
  }
  {
    title: 'How long runs of the timer take (ms)'
    query: loadTextContent('ticks.kql')
    chart: 'linechart'
    width: '100'
  }
  {
    title: 'How long functions take (ms)'
    query: loadTextContent('latency.kql')
    chart: 'table'
    width: '100'
  }
  {
    title: 'Who took tokens for which account'
    query: loadTextContent('callers.kql')
    chart: 'table'
    width: '100'
  }
]

var items = [for picture in pictures: {
  type: 3
  name: picture.title
  customWidth: picture.width
  content: {
    version: 'KqlItem/1.0'
    title: picture.title
    query: picture.query
    size: 0
    timeContextFromParameter: 'TimeRange'
    queryType: 0
    resourceType: 'microsoft.insights/components'
    crossComponentResources: [
      insightsId
    ]
    visualization: picture.chart
  }
}]

var timeRange = {
  type: 9
  name: 'time range'
  content: {
    version: 'KqlParameterItem/1.0'
    style: 'pills'
    queryType: 0
    resourceType: 'microsoft.insights/components'
    parameters: [
      {
        id: guid('mailbind', 'TimeRange')
        version: 'KqlParameterItem/1.0'
        name: 'TimeRange'
        label: 'Time'
        type: 4
        isRequired: true
        value: {
          durationMs: 86400000
        }
        typeSettings: {
          allowCustom: true
          selectableValues: [
            {
              durationMs: 3600000
            }
            {
              durationMs: 86400000
            }
            {
              durationMs: 604800000
            }
            {
              durationMs: 2592000000
            }
          ]
        }
      }
    ]
  }
}

resource workbook 'Microsoft.Insights/workbooks@2023-06-01' = {
  name: guid(resourceGroup().id, 'mailbind')
  location: location
  tags: tags
  kind: 'shared'
  properties: {
    displayName: 'Mailbind'
    category: 'workbook'
    sourceId: insightsId
    serializedData: string({
      version: 'Notebook/1.0'
      items: concat([timeRange], items)
      fallbackResourceIds: [
        insightsId
      ]
    })
  }
}
