#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/unique_fd.h"
#include "isolation/launch_info.h"

namespace dewar {

/// Starts dewar-compress when a file was rotated; never more than one at a time, which takes all files that there are.
/// Whoever polls also waits for pidfd().
class Compressor {
 public:
  explicit Compressor(const LogRecipe& recipe);

  void start();
  /// Of the program that runs, or -1.
  int pidfd() const { return pidfd_.get(); }
  /// It has ended: starts the next, if files were rotated after it had looked for them.
  void ended();
  /// At the end of the run: nobody will call ended() any more.
  void leave();

 private:
  std::string program_;
  std::vector<std::string> argv_;
  UniqueFd pidfd_;
  bool again_ = false;
};

}  // namespace dewar
