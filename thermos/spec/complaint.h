#pragma once

#include <string>

namespace dewar {

struct Complaint {
  int line = 0, column = 0;  ///< 1-based, as editors count; 0: the file as a whole
  std::string message;       ///< "'max_failures' must be a whole number, found 'lots'"
  bool warning = false;      ///< told, but nothing is refused for it
};

}  // namespace dewar
