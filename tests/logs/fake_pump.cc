#include "tests/logs/fake_pump.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include <cstdio>

#include "base/files.h"

namespace dewar {
namespace {

constexpr OutputStream kBoth[] = {OutputStream::kStdout, OutputStream::kStderr};

void append_u32(std::string& text, std::uint32_t number) {
  text.append(reinterpret_cast<const char*>(&number), sizeof number);
}

}  // namespace

std::string packed_log(const ArchiveHead& head, const std::string& content, std::size_t frame) {
  const auto bytes = encode_archive_head(head);
  std::string file(bytes.data(), bytes.size()), table;
  append_u32(table, kArchiveHeadSize);
  append_u32(table, 0);
  std::uint32_t count = 1;
  for (std::size_t at = 0; at < content.size(); ++count) {
    const std::string part = content.substr(at, frame);
    std::string packed(ZSTD_compressBound(part.size()), '\0');
    packed.resize(ZSTD_compress(packed.data(), packed.size(), part.data(), part.size(), 1));
    file += packed;
    append_u32(table, static_cast<std::uint32_t>(packed.size()));
    append_u32(table, static_cast<std::uint32_t>(part.size()));
    at += part.size();
  }
  append_u32(file, 0x184D2A5E);
  append_u32(file, static_cast<std::uint32_t>(table.size() + 9));
  file += table;
  append_u32(file, count);
  file += '\0';
  append_u32(file, 0x8F92EAB1);
  return file;
}

FakePump::FakePump(std::string folder, bool with_index) : folder_(std::move(folder)), with_index_(with_index) {
  EXPECT_TRUE(make_dirs(folder_));
  if (with_index_) open_index();
  for (const OutputStream stream : kBoth) open(stream);
}

std::string FakePump::path(OutputStream stream, std::size_t number) const {
  return folder_ + "/" + std::string(file_name(stream)) + (number == 0 ? "" : "." + std::to_string(number));
}

void FakePump::put(std::span<const IndexRecord> records) {
  std::string all;
  for (const IndexRecord& record : records) {
    const auto bytes = encode_index_record(record);
    all.append(bytes.data(), bytes.size());
  }
  EXPECT_EQ(::pwrite(index_.get(), all.data(), all.size(), static_cast<off_t>(index_size_)),
            static_cast<ssize_t>(all.size()));
  index_size_ += all.size();
}

void FakePump::put(const IndexRecord& record) {
  if (!with_index_) return;
  put({&record, 1});
  if (record.kind != IndexKind::kHead && record.kind != IndexKind::kFile) records_.push_back(record);
}

void FakePump::open(OutputStream stream) {
  Stream& ours = of(stream);
  ours.fd = *open_file(path(stream, 0), O_WRONLY | O_CREAT | O_APPEND);
  struct stat info {};
  ::fstat(ours.fd.get(), &info);
  ours.files.push_back({ours.text.size(), info.st_ino});
  put({.kind = IndexKind::kFile, .stream = stream, .time = 0, .position = ours.text.size(), .value = info.st_ino});
}

void FakePump::write(OutputStream stream, const std::string& bytes, std::int64_t time, bool indexed) {
  Stream& ours = of(stream);
  EXPECT_TRUE(write_all(ours.fd.get(), bytes, "log"));
  const std::uint64_t position = ours.text.size();
  ours.text += bytes;
  if (indexed)
    put({.kind = IndexKind::kData, .stream = stream, .time = time, .position = position, .value = bytes.size()});
}

void FakePump::gap(OutputStream stream, std::uint64_t bytes, GapReason reason, std::int64_t time) {
  put({.kind = IndexKind::kGap,
       .stream = stream,
       .reason = reason,
       .time = time,
       .position = of(stream).text.size(),
       .value = bytes});
}

void FakePump::end(std::int64_t time) {
  for (const OutputStream stream : kBoth)
    put({.kind = IndexKind::kEnd, .stream = stream, .time = time, .position = of(stream).text.size()});
}

void FakePump::rotate(OutputStream stream, unsigned backups) {
  Stream& ours = of(stream);
  for (std::size_t number = ours.files.size() - 1; number > 0; --number) {
    for (const char* tail : {"", ".zst"}) {
      const std::string from = path(stream, number) + tail;
      if (number >= backups) {
        ::unlink(from.c_str());
      } else {
        ::rename(from.c_str(), (path(stream, number + 1) + tail).c_str());
      }
    }
  }
  EXPECT_EQ(::rename(path(stream, 0).c_str(), path(stream, 1).c_str()), 0);
  if (ours.files.size() > backups) ours.files.erase(ours.files.begin());
  open(stream);
}

void FakePump::begin_anew(OutputStream stream) {
  EXPECT_EQ(::truncate(path(stream, 0).c_str(), 0), 0);
  of(stream).files.clear();
  open(stream);
}

void FakePump::compress(OutputStream stream, std::size_t frame) {
  const Stream& ours = of(stream);
  for (std::size_t i = 0; i + 1 < ours.files.size(); ++i) {
    const std::string from = path(stream, ours.files.size() - 1 - i);
    if (!exists(from)) continue;
    const std::string content = *read_file(from, 1u << 30);
    EXPECT_TRUE(replace_file(from + ".zst", packed_log({stream, ours.files[i].start, content.size()}, content, frame)));
    ::unlink(from.c_str());
  }
}

void FakePump::rotate_index() {
  for (unsigned number = segments_; number > 0; --number) {
    const std::string from = folder_ + "/index." + std::to_string(number);
    ::rename(from.c_str(), (folder_ + "/index." + std::to_string(number + 1)).c_str());
  }
  ::rename((folder_ + "/index").c_str(), (folder_ + "/index.1").c_str());
  ++segments_;
  ++segment_;
  open_index();
}

void FakePump::open_index() {
  index_ = *open_file(folder_ + "/index", O_RDWR | O_CREAT | O_TRUNC);
  index_size_ = 0;
  std::vector<IndexRecord> records{{.kind = IndexKind::kHead, .time = 0, .position = segment_, .value = kIndexVersion}};
  for (const OutputStream stream : kBoth) {
    for (std::size_t i = 0; i < of(stream).files.size(); ++i) {
      const File& file = of(stream).files[i];
      if (!exists(path(stream, of(stream).files.size() - 1 - i))) continue;
      records.push_back(
          {.kind = IndexKind::kFile, .stream = stream, .time = 0, .position = file.start, .value = file.inode});
    }
  }
  put(records);
}

void FakePump::tear_index() { EXPECT_EQ(::pwrite(index_.get(), "torn", 4, static_cast<off_t>(index_size_)), 4); }

void FakePump::damage_record() {
  if (records_.empty() || index_size_ <= 3 * kIndexRecordSize) return;
  char bytes[kIndexRecordSize];
  const auto at = static_cast<off_t>(index_size_ - kIndexRecordSize);
  EXPECT_EQ(::pread(index_.get(), bytes, sizeof bytes, at), static_cast<ssize_t>(sizeof bytes));
  if (decode_index_record({bytes, sizeof bytes}) != records_.back()) return;  // not the last of data
  bytes[9] = static_cast<char>(bytes[9] + 1);
  EXPECT_EQ(::pwrite(index_.get(), bytes, sizeof bytes, at), static_cast<ssize_t>(sizeof bytes));
  records_.pop_back();
}

}  // namespace dewar
