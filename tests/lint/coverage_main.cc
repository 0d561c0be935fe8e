// Renews the tables of tests in docs/sandbox.md and docs/explain.md.
#include <cstdio>

#include "base/files.h"
#include "tests/lint/coverage.h"

namespace {

/// False, with a word on standard error, if it cannot.
bool renew(const std::string& path, const std::string& tables) {
  const auto document = dewar::read_file(path);
  if (!document) {
    std::fprintf(stderr, "coverage: %s\n", document.error().message().c_str());
    return false;
  }
  const auto written = dewar::replace_file(path, dewar::lint::with_tables(*document, tables));
  if (!written) std::fprintf(stderr, "coverage: %s\n", written.error().message().c_str());
  return static_cast<bool>(written);
}

}  // namespace

int main() {
  using namespace dewar;
  const auto tree = lint::read_tree(DEWAR_SOURCE);
  if (!tree) {
    std::fprintf(stderr, "coverage: %s\n", tree.error().message().c_str());
    return 1;
  }
  std::vector<lint::Finding> findings;
  const auto all = lint::coverings(*tree, findings);
  for (const lint::Finding& finding : findings)
    std::fprintf(stderr, "%s:%d: %s\n", finding.path.c_str(), finding.line, finding.message.c_str());
  const bool sandbox = renew(DEWAR_SOURCE "/docs/sandbox.md", lint::coverage_tables(all));
  const bool causes = renew(DEWAR_SOURCE "/docs/explain.md", lint::cause_table(all));
  return sandbox && causes && findings.empty() ? 0 : 1;
}
