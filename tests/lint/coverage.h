// Which test covers which attack, fault, limit and cause of death: `// covers: S5, limit pids.max` directly above a
// test says so, and the tables in docs/sandbox.md and docs/explain.md are made of these lines.
#pragma once

#include <string>
#include <vector>

#include "tests/lint/rules.h"

namespace dewar::lint {

/// A test that says what it covers.
struct Covering {
  std::string subject;  ///< "S5", "F10", "limit pids.max", or anything else
  std::string test;     ///< "Suite.Name"
  std::string path;
  friend bool operator==(const Covering&, const Covering&) = default;
};

/// Every `// covers:` line of the tests. One that stands above no test is a finding.
std::vector<Covering> coverings(const std::vector<Source>& tree, std::vector<Finding>& findings);

/// The tables, in Markdown: attacks, faults, limits, and what else there is.
std::string coverage_tables(const std::vector<Covering>& all);
/// The table of docs/explain.md.
std::string cause_table(const std::vector<Covering>& all);

/// `document` with the tables between its marks renewed; unchanged if it has no marks.
std::string with_tables(const std::string& document, const std::string& tables);

/// Attacks, faults and limits without a test, misplaced lines, and tables that are not what the tests say.
std::vector<Finding> check_coverage(const std::vector<Source>& tree);

}  // namespace dewar::lint
