// Parses each query file with Microsoft's parser, against the columns of Application Insights' tables. Prints the errors, and
// exits with 1 if there are any.
// https://learn.microsoft.com/azure/azure-monitor/app/data-model-complete
const fs = require("fs");
const path = require("path");
const vm = require("vm");

const LIBRARY = path.join(__dirname, "node_modules", "@kusto", "language-service-next");
const TABLES = {
  traces: "(timestamp: datetime, message: string, severityLevel: int, operation_Id: string)",
  requests: "(timestamp: datetime, name: string, duration: real, success: string, resultCode: string, operation_Id: string)",
};

for (const file of ["bridge.js", "Kusto.Language.Bridge.js"]) {
  vm.runInThisContext(fs.readFileSync(path.join(LIBRARY, file), "utf8"));
}
const { GlobalState, KustoCode, Symbols } = Kusto.Language;
const tables = Object.entries(TABLES).map(([name, columns]) => Symbols.TableSymbol.From(columns).WithName(name));
const globals = GlobalState.Default.WithDatabase(new Symbols.DatabaseSymbol.$ctor1("insights", tables, false));

let errors = 0;
for (const file of process.argv.slice(2)) {
  const diagnostics = KustoCode.ParseAndAnalyze(fs.readFileSync(file, "utf8"), globals).GetDiagnostics();
  for (let index = 0; index < diagnostics.Count; index++) {
    const diagnostic = diagnostics.getItem(index);
    console.log(`${file}: at ${diagnostic.Start}: ${diagnostic.Message}`);
    errors++;
  }
}
process.exit(errors ? 1 : 0);
