// Any bytes as an archive. Whatever they say, nothing changes beside the target, nothing in it has a bit that gives
// rights, and a refused archive leaves it empty.
#include "fetcher/extract.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

#include "base/files.h"

namespace {

using dewar::UniqueFd;

void demand(bool truth) {
  if (!truth) std::abort();
}

/// A folder of this process, kept from one input to the next: "target", and "canary" beside it.
const std::string& folder() {
  static const std::string kPath = [] {
    char name[] = "/dev/shm/dewar-fuzz-XXXXXX";
    demand(::mkdtemp(name) != nullptr);
    const std::string path = name;
    demand(bool(dewar::make_dirs(path + "/canary")) && bool(dewar::replace_file(path + "/canary/file", "sings")));
    static std::string doomed = path;
    std::atexit([] { (void)dewar::remove_tree(doomed); });
    return path;
  }();
  return kPath;
}

void check_tree(const UniqueFd& parent) {
  const auto names = dewar::list_folder(parent, "target");
  demand(bool(names));
  for (const std::string& name : *names) {
    struct stat info {};
    demand(::fstatat(parent.get(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0);
    demand(S_ISREG(info.st_mode) || S_ISDIR(info.st_mode) || S_ISLNK(info.st_mode));
    if (!S_ISLNK(info.st_mode)) demand((info.st_mode & 07022) == 0);
    if (!S_ISDIR(info.st_mode)) continue;
    const auto inner = dewar::open_at(parent, name, O_RDONLY | O_DIRECTORY);
    demand(bool(inner));
    check_tree(*inner);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  const std::string target = folder() + "/target";
  demand(bool(dewar::make_dirs(target)));
  auto opened = dewar::open_file(target, O_RDONLY | O_DIRECTORY);
  demand(bool(opened));
  const dewar::ExtractLimits limits{
      .bytes = 1u << 20, .entries = 200, .ratio = 10, .depth = 8, .outside_links = size % 2 == 1};
  bool done = false;
  {
    auto extractor = dewar::Extractor::start(UniqueFd(::dup(opened->get())), "fuzz.gz", limits);
    demand(bool(extractor));
    const auto written = extractor->write({reinterpret_cast<const char*>(data), size});
    const auto report = extractor->finish();
    done = bool(report);
    demand(!done || (written && report->bytes <= limits.bytes));
  }
  const auto left = dewar::list_folder(*opened, "target");
  demand(bool(left) && (done || left->empty()));
  check_tree(*opened);
  const auto beside = dewar::list_dir(folder());
  const auto canary = dewar::list_dir(folder() + "/canary");
  demand(beside && beside->size() == 2 && canary && canary->size() == 1);
  demand(*dewar::read_file(folder() + "/canary/file") == "sings");
  demand(bool(dewar::remove_tree(target)));
  return 0;
}
