// Reads each query given as an argument with Microsoft's own parser, against the columns of Application Insights' tables
// (Azure Monitor: Application Insights telemetry data model). Prints what is wrong, and exits with 1 if anything is.
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

let faults = 0;
for (const file of process.argv.slice(2)) {
  const found = KustoCode.ParseAndAnalyze(fs.readFileSync(file, "utf8"), globals).GetDiagnostics();
  for (let index = 0; index < found.Count; index++) {
    const fault = found.getItem(index);
    console.log(`${file}: at ${fault.Start}: ${fault.Message}`);
    faults++;
  }
}
process.exit(faults ? 1 : 0);
