#include "thermos/programs.h"

#include <unistd.h>

#include "base/files.h"

namespace dewar {

Result<std::string> find_own_program(const std::string& name) {
  char self[4096];
  const ssize_t size = ::readlink("/proc/self/exe", self, sizeof self);
  if (size <= 0) return fail_errno("find our own program");
  const std::string folder = parent_of(std::string(self, static_cast<std::size_t>(size)));
  for (const std::string& path : {folder + "/" + name, parent_of(folder) + "/libexec/dewar/" + name})
    if (::access(path.c_str(), X_OK) == 0) return path;
  return fail(std::errc::no_such_file_or_directory,
              "find " + name + " beside " + folder + "; is the installation whole?");
}

}  // namespace dewar
