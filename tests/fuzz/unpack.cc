// A layer of an image, after one that is there already. The first byte's lowest bit: with whiteouts. Nothing outside of
// the target may change, and what was unpacked must be within its limits.
#include "isolation/image/unpack.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>

#include "base/files.h"

namespace {

using namespace dewar;

void expect(bool true_here) {
  if (!true_here) std::abort();
}

/// Made once: <folder>/target, and a canary beside it.
const std::string& folder() {
  static const std::string made = [] {
    char name[] = "/tmp/fuzz-unpack-XXXXXX";
    expect(::mkdtemp(name) != nullptr);
    expect(static_cast<bool>(replace_file(std::string(name) + "/canary", "canary")));
    return std::string(name);
  }();
  return made;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string target = folder() + "/target";
  expect(static_cast<bool>(make_dirs(target + "/d/old")));
  expect(::symlink("../canary", (target + "/out").c_str()) == 0);
  const UniqueFd archive(::memfd_create("archive", MFD_CLOEXEC));
  expect(::write(archive.get(), data + 1, size - 1) == static_cast<ssize_t>(size - 1));
  const UniqueFd root(::open(target.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  UnpackLimits limits;
  limits.bytes = 1u << 20, limits.entries = 100, limits.depth = 10;
  const auto done = unpack_here({archive, "archive", (data[0] & 1) != 0}, root.get(), limits, {});
  if (done)
    expect(done->count.bytes <= limits.bytes && done->count.entries <= limits.entries && done->sha256.size() == 64);
  const auto beside = list_dir(folder());
  expect(beside && beside->size() == 2 && *read_file(folder() + "/canary") == "canary");
  expect(static_cast<bool>(remove_tree(target)));
  return 0;
}
