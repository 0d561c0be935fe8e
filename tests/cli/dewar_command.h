// The built `dewar` as a person or a program runs it: its output, its exit status, its signals.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/unique_fd.h"

namespace dewar {

class DewarCommand {
 public:
  enum class Output { kPipe, kTerminal };  ///< stdout and stderr apart; or both on a terminal of 80 x 24

  /// Starts it; `env` is added to a small environment. Killed at the end of the test if it still runs.
  explicit DewarCommand(const std::vector<std::string>& arguments, Output output = Output::kPipe,
                        const std::vector<std::string>& env = {});
  DewarCommand(const DewarCommand&) = delete;
  DewarCommand& operator=(const DewarCommand&) = delete;
  ~DewarCommand();

  /// Reads stdout until `words` have come; false if it ends before, or after a minute.
  bool wait_for(const std::string& words);
  /// Reads all output to its end. The exit status, or minus the signal that ended it.
  int wait();
  void signal(int number) const;
  pid_t pid() const { return pid_; }

  const std::string& out() const { return out_; }
  const std::string& err() const { return err_; }

 private:
  bool read_some();

  pid_t pid_ = -1;
  UniqueFd out_fd_, err_fd_;
  std::string out_, err_;
};

}  // namespace dewar
