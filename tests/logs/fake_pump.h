// Writes a run's folder of logs as a pump does, one step at a time, and leaves it as a killed one would. Whatever it
// has done is also kept in memory, for a model of what a reader has to find.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "isolation/log_index.h"

namespace dewar {

class FakePump {
 public:
  explicit FakePump(std::string folder, bool with_index = true);

  /// One read's worth. `indexed`: false, and the index does not tell of it.
  void write(OutputStream stream, const std::string& bytes, std::int64_t time, bool indexed = true);
  void gap(OutputStream stream, std::uint64_t bytes, GapReason reason, std::int64_t time);
  void end(std::int64_t time);
  /// stdout -> stdout.1 -> …; beyond `backups` the oldest goes.
  void rotate(OutputStream stream, unsigned backups);
  /// Rotation without backups: the same file, emptied.
  void begin_anew(OutputStream stream);
  /// Packs every rotated file that is not packed yet.
  void compress(OutputStream stream, std::size_t frame = 4096);
  void rotate_index();
  /// Half a record, as a killed pump leaves it; the next record overwrites it.
  void tear_index();
  void damage_record();  ///< the last one's checksum

  const std::string& folder() const { return folder_; }
  const std::string& text(OutputStream stream) const { return of(stream).text; }
  std::uint64_t begin(OutputStream stream) const { return of(stream).files.front().start; }
  const std::vector<IndexRecord>& records() const { return records_; }

 private:
  struct File {
    std::uint64_t start;
    unsigned long inode;
  };
  struct Stream {
    std::string text;  ///< all that was ever kept
    UniqueFd fd;
    std::vector<File> files;  ///< that are there, oldest first; the last is the live one
  };
  Stream& of(OutputStream stream) { return stream == OutputStream::kStdout ? out_ : err_; }
  const Stream& of(OutputStream stream) const { return stream == OutputStream::kStdout ? out_ : err_; }
  std::string path(OutputStream stream, std::size_t number) const;
  void open(OutputStream stream);
  void open_index();
  void put(std::span<const IndexRecord> records);
  void put(const IndexRecord& record);

  std::string folder_;
  bool with_index_;
  Stream out_, err_;
  UniqueFd index_;
  std::uint64_t index_size_ = 0, segment_ = 0;
  unsigned segments_ = 0;
  std::vector<IndexRecord> records_;  ///< of data, gaps and ends: those that a reader can find
};

/// A compressed file in the format of docs/formats.md, with frames of about `frame` bytes.
std::string packed_log(const ArchiveHead& head, const std::string& content, std::size_t frame);

}  // namespace dewar
