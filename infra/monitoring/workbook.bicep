// The workbook for operators.
param location string
param tags object
param insightsId string

var charts = [
  {
    title: 'Accounts by state'
    query: loadTextContent('accounts.kql')
    kind: 'linechart'
    width: '50'
  }
  {
    title: 'Refreshes, and failures by kind'
    query: loadTextContent('refreshes.kql')
    kind: 'barchart'
    width: '50'
  }
  {
    title: 'The agenda: due, overdue, and the oldest in seconds'
    query: loadTextContent('agenda.kql')
    kind: 'linechart'
    width: '50'
  }
  {
    title: 'Tokens handed out'
    query: loadTextContent('hand-outs.kql')
    kind: 'barchart'
    width: '50'
  }
  {
    title: 'Registrations'
    query: loadTextContent('sign-ins.kql')
    kind: 'barchart'
    width: '50'
  }
  {
    title: 'Events delivered to webhooks'
    query: loadTextContent('webhooks.kql')
    kind: 'barchart'
    width: '50'
  }
  {
    title: 'Duration of timer runs (ms)'
    query: loadTextContent('ticks.kql')
    kind: 'linechart'
    width: '100'
  }
  {
    title: 'Duration of functions (ms)'
    query: loadTextContent('latency.kql')
    kind: 'table'
    width: '100'
  }
  {
    title: 'Callers and accounts with the most hand-outs'
    query: loadTextContent('callers.kql')
    kind: 'table'
    width: '100'
  }
]

// Always the last two days, whatever time is chosen: the sweep repeats the lines about accounts once a day.
var attention = {
  type: 3
  name: 'Needs attention now'
  content: {
    version: 'KqlItem/1.0'
    title: 'Needs attention now'
    noDataMessage: 'Nothing needs attention.'
    noDataMessageStyle: 3
    query: loadTextContent('attention.kql')
    size: 0
    timeContext: {
      durationMs: 172800000
    }
    queryType: 0
    resourceType: 'microsoft.insights/components'
    crossComponentResources: [
      insightsId
    ]
    visualization: 'table'
  }
}

var items = [for chart in charts: {
  type: 3
  name: chart.title
  customWidth: chart.width
  content: {
    version: 'KqlItem/1.0'
    title: chart.title
    query: chart.query
    size: 0
    timeContextFromParameter: 'TimeRange'
    queryType: 0
    resourceType: 'microsoft.insights/components'
    crossComponentResources: [
      insightsId
    ]
    visualization: chart.kind
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
      items: concat([attention, timeRange], items)
      fallbackResourceIds: [
        insightsId
      ]
    })
  }
}
