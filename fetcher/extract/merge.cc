#include "fetcher/extract/merge.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include <string>

#include "base/files.h"
#include "fetcher/extract/names.h"

namespace dewar {
namespace {

enum class Kind { kNothing, kFolder, kOther };

Result<Kind> kind_of(const UniqueFd& folder, const std::string& name, const std::string& path) {
  struct stat info {};
  if (::fstatat(folder.get(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0)
    return errno == ENOENT ? Result<Kind>(Kind::kNothing) : fail_errno("stat " + shown(path));
  return S_ISDIR(info.st_mode) ? Kind::kFolder : Kind::kOther;
}

enum class Step { kCheck, kMove };

/// `path`: of both folders below their roots, with a slash at its end; for people.
Result<void> walk(const UniqueFd& from, const UniqueFd& to, const std::string& path, Step step) {
  for (const std::string& name : DEWAR_TRY(list_folder(from, shown(path)))) {
    const std::string inner = path + name;
    const Kind ours = DEWAR_TRY(kind_of(from, name, inner));
    const Kind theirs = DEWAR_TRY(kind_of(to, name, inner));
    if (ours == Kind::kFolder && theirs == Kind::kFolder) {
      const UniqueFd inner_from = DEWAR_TRY(open_at(from, name, O_RDONLY | O_DIRECTORY));
      const UniqueFd inner_to = DEWAR_TRY(open_at(to, name, O_RDONLY | O_DIRECTORY));
      DEWAR_TRY(walk(inner_from, inner_to, inner + "/", step));
      continue;
    }
    const bool meets = theirs != Kind::kNothing && (ours == Kind::kFolder || theirs == Kind::kFolder);
    if (meets)
      return fail(
          shown(inner) + " is a folder in " +
          (ours == Kind::kFolder ? "the archive and something else here" : "this place and not in the archive"));
    if (step == Step::kMove && ::renameat(from.get(), name.c_str(), to.get(), name.c_str()) != 0)
      return fail_errno("move " + shown(inner) + " to its place");
  }
  return {};
}

}  // namespace

Result<void> merge_trees(const UniqueFd& from, const UniqueFd& to) {
  DEWAR_TRY(walk(from, to, "", Step::kCheck));
  return walk(from, to, "", Step::kMove);
}

}  // namespace dewar
