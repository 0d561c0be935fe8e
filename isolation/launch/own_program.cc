#include "isolation/launch/own_program.h"

#include <fcntl.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/process.h"

namespace dewar {
namespace {

constexpr char kSelf[] = "/proc/self/exe";

}  // namespace

bool is_own_program_read_only() {
  struct statvfs info {};
  return ::statvfs(kSelf, &info) == 0 && (info.f_flag & ST_RDONLY) != 0;
}

void execute_read_only(char** argv, char** env) {
  if (is_own_program_read_only()) return;
  const auto file = open_read_only(kSelf);
  if (!file) return;
  struct statvfs info {};
  if (::fstatvfs(file->get(), &info) != 0 || (info.f_flag & ST_RDONLY) == 0) return;  // or it would go on for ever
  ::syscall(SYS_execveat, file->get(), "", argv, env, AT_EMPTY_PATH);
}

}  // namespace dewar
