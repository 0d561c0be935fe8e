// A run's folder with any index and any files: whatever their bytes, the reader ends, tells each position of a stream
// once and in order, and seeks anywhere. The input is cut at "\n--\n" into: index, stdout, stderr, stdout.1,
// stdout.1.zst.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "base/files.h"
#include "thermos/logs/run_reader.h"

namespace {

constexpr std::array kNames{"index", "stdout", "stderr", "stdout.1", "stdout.1.zst"};
constexpr std::string_view kCut = "\n--\n";
constexpr int kMostItems = 100'000;

struct Folder {
  std::string path = "/dev/shm/dewar-fuzz-logs-XXXXXX";
  Folder() {
    if (::mkdtemp(path.data()) == nullptr) std::abort();
  }
  ~Folder() { (void)!dewar::remove_tree(path); }
};
const Folder folder;

/// Any 32 bytes become a record, but for those with a mark: no input can hit a checksum, or know an inode.
void seal_index() {
  auto index = dewar::read_file(folder.path + "/index");
  if (!index) return;
  struct stat info {};
  const bool live = ::stat((folder.path + "/stdout").c_str(), &info) == 0;
  for (std::size_t from = 0; from + dewar::kIndexRecordSize <= index->size(); from += dewar::kIndexRecordSize) {
    const auto byte = [&](std::size_t at) { return static_cast<unsigned char>((*index)[from + at]); };
    if (byte(3) == 0xFF) continue;
    dewar::IndexRecord record;
    record.kind = static_cast<dewar::IndexKind>(1 + byte(0) % 5);
    record.stream = static_cast<dewar::OutputStream>(1 + byte(1) % 2);
    record.reason = static_cast<dewar::GapReason>(byte(2) % 6);
    std::memcpy(&record.time, index->data() + from + 8, 8);
    std::memcpy(&record.position, index->data() + from + 16, 8);
    std::memcpy(&record.value, index->data() + from + 24, 8);
    if (record.kind == dewar::IndexKind::kFile && live) record.value = info.st_ino;
    const auto bytes = dewar::encode_index_record(record);
    index->replace(from, bytes.size(), bytes.data(), bytes.size());
  }
  if (!dewar::replace_file(folder.path + "/index", *index)) std::abort();
}

void read_all(dewar::RunReader& reader) {
  std::uint64_t at[2] = {0, 0};
  for (int count = 0; const dewar::LogItem* item = reader.next(true); ++count) {
    std::uint64_t& place = at[item->stream == dewar::OutputStream::kStderr];
    if (item->position < place || item->end < item->position || count > kMostItems) std::abort();
    place = item->end;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  for (const char* name : kNames) {
    const std::size_t end = std::min(rest.find(kCut), rest.size());
    const std::string path = folder.path + "/" + name;
    ::unlink(path.c_str());
    if (end > 0 && !dewar::replace_file(path, rest.substr(0, end))) std::abort();
    rest.remove_prefix(std::min(rest.size(), end + kCut.size()));
  }
  seal_index();
  auto reader =
      dewar::RunReader::open(folder.path, {.process = "p", .run = 0, .out = true, .err = true, .only = nullptr});
  if (!reader) std::abort();
  read_all(**reader);
  for (const std::uint64_t place : {1u, 100u, 70'000u}) {
    (*reader)->seek_position(dewar::OutputStream::kStdout, place);
    read_all(**reader);
    (*reader)->seek_total(place);
    read_all(**reader);
    (*reader)->seek_time(static_cast<std::int64_t>(place));
    read_all(**reader);
  }
  return 0;
}
