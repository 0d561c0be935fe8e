// Renews the tables of tests in docs/sandbox.md.
#include <cstdio>

#include "base/files.h"
#include "tests/lint/coverage.h"

int main() {
  using namespace dewar;
  const std::string path = DEWAR_SOURCE "/docs/sandbox.md";
  const auto tree = lint::read_tree(DEWAR_SOURCE);
  const auto document = read_file(path);
  if (!tree || !document) {
    std::fprintf(stderr, "coverage: %s\n", (tree ? document.error() : tree.error()).message().c_str());
    return 1;
  }
  std::vector<lint::Finding> findings;
  const std::string tables = lint::coverage_tables(lint::coverings(*tree, findings));
  for (const lint::Finding& finding : findings)
    std::fprintf(stderr, "%s:%d: %s\n", finding.path.c_str(), finding.line, finding.message.c_str());
  const auto written = replace_file(path, lint::with_tables(*document, tables));
  if (!written) std::fprintf(stderr, "coverage: %s\n", written.error().message().c_str());
  return written && findings.empty() ? 0 : 1;
}
