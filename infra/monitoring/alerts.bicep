// The alerts, each with its query.
param location string
param tags object
param insightsId string
param email string

// A line arrives minutes after it was written, so each window is longer than the interval between evaluations.
var rules = [
  {
    name: 'overdue'
    title: 'Refreshes are overdue'
    about: 'The oldest refresh is more than ten minutes late. Check GET /v1/stats for storage errors, throttling or too few instances.'
    severity: 1
    query: loadTextContent('overdue.kql')
    every: 'PT15M'
    window: 'PT30M'
    range: null
    operator: 'GreaterThan'
    threshold: 0
    dimensions: []
  }
  {
    name: 'silent'
    title: 'The timer does not run'
    about: 'No timer run within half an hour. Check whether the Function app starts and can reach storage.'
    severity: 0
    query: loadTextContent('silent.kql')
    every: 'PT15M'
    window: 'PT30M'
    range: null
    operator: 'LessThan'
    threshold: 1
    dimensions: []
  }
  {
    name: 'breaker'
    title: 'Microsoft refuses an OAuth app'
    about: 'No grant of that app is refreshed. GET /v1/stats says what to do; the accounts keep their state.'
    severity: 0
    query: loadTextContent('breaker.kql')
    every: 'PT15M'
    window: 'PT30M'
    range: null
    operator: 'GreaterThan'
    threshold: 0
    dimensions: [
      {
        name: 'app'
        operator: 'Include'
        values: [
          '*'
        ]
      }
      {
        name: 'code'
        operator: 'Include'
        values: [
          '*'
        ]
      }
    ]
  }
  {
    name: 'attention'
    title: 'Accounts need a person'
    about: 'Named with the reason and since when. docs/operations.md says who does what for each code; the workbook lists all of them.'
    severity: 2
    query: loadTextContent('accounts-attention.kql')
    every: 'PT15M'
    window: 'PT6H'
    range: 'P2D'
    operator: 'GreaterThan'
    threshold: 0
    dimensions: [
      {
        name: 'code'
        operator: 'Include'
        values: [
          '*'
        ]
      }
      {
        name: 'accounts'
        operator: 'Include'
        values: [
          '*'
        ]
      }
    ]
  }
  {
    name: 'secrets'
    title: 'A credential of an OAuth app expires soon'
    about: 'Add a new client secret or certificate in Entra and store it before the old one expires. Nobody has to sign in again.'
    severity: 2
    query: loadTextContent('secrets.kql')
    every: 'PT1H'
    window: 'PT2H'
    range: null
    operator: 'GreaterThan'
    threshold: 0
    dimensions: [
      {
        name: 'app'
        operator: 'Include'
        values: [
          '*'
        ]
      }
      {
        name: 'expires'
        operator: 'Include'
        values: [
          '*'
        ]
      }
    ]
  }
  {
    name: 'failures'
    title: 'Refreshes fail'
    about: 'More failures of one kind within an hour than expected.'
    severity: 2
    query: loadTextContent('failures.kql')
    every: 'PT15M'
    window: 'PT1H'
    range: null
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
    title: 'Access tokens are valid too long'
    about: 'Microsoft issued an access token for more than two hours. It cannot be revoked. Check for a token lifetime policy.'
    severity: 2
    query: loadTextContent('long-lived.kql')
    every: 'PT1H'
    window: 'PT2H'
    range: null
    operator: 'GreaterThan'
    threshold: 0
    dimensions: []
  }
  {
    name: 'hand-outs'
    title: 'Callers get no tokens'
    about: 'Hand-outs fail, and neither the caller nor the person is the cause. The correlation id finds the log lines.'
    severity: 1
    query: loadTextContent('hand-outs-failing.kql')
    every: 'PT5M'
    window: 'PT15M'
    range: null
    operator: 'GreaterThan'
    threshold: 5
    dimensions: []
  }
  {
    name: 'parked'
    title: 'A webhook rejects events'
    about: 'Events were not accepted for three days and are parked. Repair the target, then redeliver them.'
    severity: 2
    query: loadTextContent('parked.kql')
    every: 'PT15M'
    window: 'PT30M'
    range: null
    operator: 'GreaterThan'
    threshold: 0
    dimensions: []
  }
  {
    name: 'unplanned'
    title: 'The sweep restored rows'
    about: 'A row of the agenda, the directory or the index of mailboxes was missing or left over, and has been repaired. Find out what wrote it incorrectly.'
    severity: 3
    query: loadTextContent('unplanned.kql')
    every: 'PT1H'
    window: 'PT2H'
    range: null
    operator: 'GreaterThan'
    threshold: 0
    dimensions: []
  }
  {
    name: 'poison'
    title: 'Shard messages fail permanently'
    about: 'They are in the queue mailbind-shards-poison. The timer processes their shards again after 15 minutes. Find out why they failed.'
    severity: 3
    query: loadTextContent('poison.kql')
    every: 'PT1H'
    window: 'PT2H'
    range: null
    operator: 'GreaterThan'
    threshold: 0
    dimensions: []
  }
]

resource operators 'Microsoft.Insights/actionGroups@2023-01-01' = if (!empty(email)) {
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
    description: rule.about
    severity: rule.severity
    enabled: true
    evaluationFrequency: rule.every
    windowSize: rule.window
    // The sweep repeats its lines once a day, and no window is that long.
    overrideQueryTimeRange: rule.range
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
    // Before the first deployment the tables are empty, so a query cannot be validated.
    skipQueryValidation: true
    actions: {
      actionGroups: empty(email) ? [] : [
        operators.id
      ]
    }
  }
}]
