#include "thermos/events.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/files.h"
#include "thermos/checkpoint.h"

namespace dewar {
namespace {

std::string path_in(const std::string& run_folder) { return run_folder + "/events"; }

}  // namespace

EventFile::EventFile(const std::string& run_folder) : path_(path_in(run_folder)) {
  if (auto file = open_file(path_, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW, 0600)) fd_ = std::move(file).take();
}

Result<void> EventFile::append(const EventRecord& event) const {
  if (!fd_) return fail(std::errc::bad_file_descriptor, "write " + path_ + ": it could not be opened");
  const std::string bytes = framed(encode_record(event));
  const off_t size = ::lseek(fd_.get(), 0, SEEK_END);
  if (size < 0 || static_cast<std::size_t>(size) + bytes.size() > kMaxBytes)
    return fail(std::errc::file_too_large, "write " + path_);
  return write_all(fd_.get(), bytes, path_);
}

std::vector<EventRecord> read_events(const std::string& run_folder) {
  std::vector<EventRecord> events;
  const auto bytes = read_file(path_in(run_folder), 2 * EventFile::kMaxBytes);
  if (!bytes) return events;
  for (Record& record : replay(*bytes).records)
    if (auto* event = std::get_if<EventRecord>(&record)) events.push_back(std::move(*event));
  return events;
}

}  // namespace dewar
