#include "agent/cli/bundle/opened.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <utility>

#include "base/files.h"
#include "base/pipe.h"
#include "base/process.h"
#include "isolation/log_index.h"
#include "thermos/programs.h"

namespace dewar {
namespace {

/// By dewar-bundle, which gives up all rights first; its words are the error.
Result<void> unpack(const UniqueFd& archive, const std::string& folder) {
  const UniqueFd target = DEWAR_TRY(open_file(folder, O_RDONLY | O_DIRECTORY));
  Pipe pipe = DEWAR_TRY(make_pipe());
  Spawn start;
  start.program = DEWAR_TRY(find_own_program("dewar-bundle"));
  start.argv = {"dewar-bundle", "unpack"};
  start.fds = {archive.get(), -1, pipe.writer.get(), target.get()};
  const pid_t child = DEWAR_TRY(spawn(start));
  pipe.writer.reset();
  const auto words = read_all(pipe.reader.get(), "pipe", 1u << 16);
  int status = 0;
  retry_eintr([&] { return ::waitpid(child, &status, 0); });
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  return fail(words && !words->empty() ? *words : "unpacking it ended with a signal");
}

void put(std::string& index, const IndexRecord& record) {
  const auto bytes = encode_index_record(record);
  index.append(bytes.data(), bytes.size());
}

/// Puts the inodes of the files in `folder` into its index.
void settle(const std::string& folder) {
  auto bytes = read_file(folder + "/index");
  if (!bytes) return;
  std::string index;
  for (std::size_t at = 0; at + kIndexRecordSize <= bytes->size(); at += kIndexRecordSize) {
    auto record = decode_index_record(std::string_view(*bytes).substr(at, kIndexRecordSize));
    if (!record) continue;
    struct stat info {};
    if (record->kind == IndexKind::kFile) {
      const std::string file = folder + "/" + std::string(file_name(record->stream));
      if (::lstat(file.c_str(), &info) != 0) continue;
      record->value = info.st_ino;
    }
    put(index, *record);
  }
  (void)!replace_file(folder + "/index", index);
}

/// Below `logs`, each `<process>/<run>/index` as a bundle has it becomes one that fits the files beside it.
void settle_logs(const std::string& logs) {
  const auto processes = list_dir(logs);
  for (const std::string& process : processes ? *processes : std::vector<std::string>{}) {
    const auto runs = list_dir(logs + "/" + process);
    for (const std::string& run : runs ? *runs : std::vector<std::string>{}) settle(logs + "/" + process + "/" + run);
  }
}

/// A bundle holds one folder, the task's.
Result<std::string> only_folder(const std::string& folder) {
  const auto names = DEWAR_TRY(list_dir(folder));
  struct stat info {};
  if (names.size() != 1 || ::lstat((folder + "/" + names[0]).c_str(), &info) != 0 || !S_ISDIR(info.st_mode) ||
      !exists(folder + "/" + names[0] + "/bundle/manifest.json"))
    return fail("it is no bundle of a task");
  return folder + "/" + names[0];
}

}  // namespace

Result<OpenedBundle> OpenedBundle::open(const std::string& path) {
  const UniqueFd archive = DEWAR_TRY(open_file(path, O_RDONLY | O_NONBLOCK));
  const char* parent = std::getenv("TMPDIR");
  std::string folder = std::string(parent != nullptr && *parent == '/' ? parent : "/tmp") + "/dewar-bundle-XXXXXX";
  if (::mkdtemp(folder.data()) == nullptr) return fail_errno("make a folder for the bundle, " + folder);
  OpenedBundle bundle(path, folder);
  DEWAR_TRY(unpack(archive, folder).context("open " + path));
  bundle.run_folder_ = DEWAR_TRY(only_folder(folder).context("open " + path));
  settle_logs(bundle.run_folder_ + "/.logs");
  return bundle;
}

OpenedBundle::OpenedBundle(OpenedBundle&& other) noexcept
    : file_(std::move(other.file_)),
      folder_(std::exchange(other.folder_, {})),
      run_folder_(std::move(other.run_folder_)) {}

OpenedBundle::~OpenedBundle() {
  if (!folder_.empty()) (void)!remove_tree(folder_);
}

}  // namespace dewar
