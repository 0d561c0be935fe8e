#pragma once

#include <map>
#include <set>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace dewar {

/// Which of several folders have changed: a file in them was written to, made, renamed or removed. One inotify(7)
/// instance. Where the kernel has lost count, all have.
class FolderWatch {
 public:
  /// Errors: of inotify_init1(2); EMFILE: this user has too many.
  static Result<FolderWatch> open();

  /// From now on; a folder that is not there is watched once add() is called again and it is. False: it is not.
  bool add(const std::string& folder);
  /// The folders that have changed since the last call.
  std::set<std::string> changed();
  /// Readable when there are some.
  int fd() const { return fd_.get(); }

 private:
  UniqueFd fd_;
  std::map<int, std::string> folders_;
  std::set<std::string> watched_;
};

}  // namespace dewar
