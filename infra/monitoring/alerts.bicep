// What an operator is told of, each by a query of its own.
param location string
param tags object
param insightsId string
param email string

// A line reaches the log minutes after it was written, so each window is longer than the time between two looks.
var rules = [
  {
    name: 'overdue'
    title: 'Refreshes are overdue'
    does: 'The oldest refresh waits for more than ten minutes. Look at GET /v1/stats: storage, throttling, or too few instances.'
    severity: 1
    query: loadTextContent('overdue.kql')
    every: 'PT15M'
    window: 'PT30M'
    operator: 'GreaterThan'
    threshold: 0
    dimensions: []
  }
  {
    name: 'silent'
    title: 'The timer does not run'
    does: 'No tick within half an hour. Look at the Function app: does it start, does it reach storage?'
    severity: 0
    query: loadTextContent('silent.kql')
    every: 'PT15M'
    window: 'PT30M'
    operator: 'LessThan'
    threshold: 1
    dimensions: []
  }
  {
    name: 'breaker'
    title: 'Microsoft refuses an OAuth app'
    does: 'No grant of that app is refreshed. GET /v1/stats names the app and says what to do; accounts are not blamed.'
    severity: 0
    query: loadTextContent('breaker.kql')
    every: 'PT15M'
    window: 'PT30M'
    operator: 'GreaterThan'
    threshold: 0
    dimensions: []
  }
  {
    name: 'failures'
    title: 'Refreshes fail'
    does: 'More failures of one kind within an hour than the kind is expected to have.'
    severity: 2
    query: loadTextContent('failures.kql')
    every: 'PT15M'
    window: 'PT1H'
    operator: 'GreaterThan'
    threshold: 0
    dimensions: [
      {
        name: 'outcome'
        operator: 'Include'
        values: [
          '*'
        ]
      }
    ]
  }
  {
    name: 'long-lived'
    title: 'Access tokens live too long'
    does: 'Microsoft issued one for more than two hours, which nobody can call back. Look for a token lifetime policy.'
    severity: 2
    query: loadTextContent('long-lived.kql')
    every: 'PT1H'
    window: 'PT2H'
    operator: 'GreaterThan'
    threshold: 0
    dimensions: []
  }
  {
    name: 'hand-outs'
    title: 'Callers get no tokens'
    does: 'Hand-outs fail for a reason that is neither the caller\'s nor the person\'s. The correlation joins them to the logs.'
    severity: 1
    query: loadTextContent('hand-outs-failing.kql')
    every: 'PT5M'
    window: 'PT15M'
    operator: 'GreaterThan'
    threshold: 5
    dimensions: []
  }
  {
    name: 'parked'
    title: 'A webhook takes no events'
    does: 'Events were given up after three days and are parked. Mend the target, then set them free.'
    severity: 2
    query: loadTextContent('parked.kql')
    every: 'PT15M'
    window: 'PT30M'
    operator: 'GreaterThan'
    threshold: 0
    dimensions: []
  }
  {
    name: 'unplanned'
    title: 'The sweep had to mend something'
    does: 'A row of the agenda or the directory was missing. It is back; find out what wrote it wrong.'
    severity: 3
    query: loadTextContent('unplanned.kql')
    every: 'PT1H'
    window: 'PT2H'
    operator: 'GreaterThan'
    threshold: 0
    dimensions: []
  }
  {
    name: 'poison'
    title: 'Messages of shards fail for good'
    does: 'They are in the queue mailbind-shards-poison. The timer works their shards again after 15 minutes; find out why they failed.'
    severity: 3
    query: loadTextContent('poison.kql')
    every: 'PT1H'
    window: 'PT2H'
    operator: 'GreaterThan'
    threshold: 0
    dimensions: []
  }
]

resource people 'Microsoft.Insights/actionGroups@2023-01-01' = if (!empty(email)) {
  name: 'mailbind-operators'
  location: 'global'
  tags: tags
  properties: {
    groupShortName: 'mailbind'
    enabled: true
    emailReceivers: [
      {
        name: 'operators'
        emailAddress: email
        useCommonAlertSchema: true
      }
    ]
  }
}

resource alerts 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = [for rule in rules: {
  name: 'mailbind-${rule.name}'
  location: location
  tags: tags
  kind: 'LogAlert'
  properties: {
    displayName: 'Mailbind: ${rule.title}'
    description: rule.does
    severity: rule.severity
    enabled: true
    evaluationFrequency: rule.every
    windowSize: rule.window
    scopes: [
      insightsId
    ]
    criteria: {
      allOf: [
        {
          query: rule.query
          timeAggregation: 'Count'
          operator: rule.operator
          threshold: rule.threshold
          dimensions: rule.dimensions
          failingPeriods: {
            numberOfEvaluationPeriods: 1
            minFailingPeriodsToAlert: 1
          }
        }
      ]
    }
    autoMitigate: true
    // On the first deployment nothing has been logged yet.
    skipQueryValidation: true
    actions: {
      actionGroups: empty(email) ? [] : [
        people.id
      ]
    }
  }
}]
