// The house rules that a machine can check. Each rule reads the whole tree and returns what breaks it.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace dewar::lint {

/// A file of the repository, by its path from the root.
struct Source {
  std::string path, text;
};

struct Finding {
  std::string path;
  int line = 0;  ///< 1-based; 0: the file as a whole
  std::string message;
  friend bool operator==(const Finding&, const Finding&) = default;
};

/// Every file of the rooms, the tests, the documentation and the scripts below `root`, sorted by path; nothing of
/// build/.
Result<std::vector<Source>> read_tree(const std::string& root);

/// Includes go down only: agent -> thermos -> fetcher -> isolation -> base; the launcher sees base/ and the three
/// headers of its contract; programs that every task has some of do without iostream, fstream and regex.
std::vector<Finding> check_floors(const std::vector<Source>& tree);

/// No two modules (x.h with x.cc) reach each other by includes; a cycle is told with its path.
std::vector<Finding> check_cycles(const std::vector<Source>& tree);

/// At most 450 lines a file and 80 lines a function.
std::vector<Finding> check_sizes(const std::vector<Source>& tree);

/// No promises in the code: what is not done is an issue, not a comment.
std::vector<Finding> check_promises(const std::vector<Source>& tree);

/// The same text with every comment, string and character literal blanked out, line by line the same length.
std::string blank_literals(const std::string& text);

}  // namespace dewar::lint
