#include "agent/cli/bundle/log_tail.h"

#include <fcntl.h>

#include <algorithm>

#include "base/files.h"
#include "isolation/log_index.h"
#include "thermos/logs/index_reader.h"
#include "thermos/logs/stream_files.h"

namespace dewar {
namespace {

constexpr OutputStream kStreams[] = {OutputStream::kStdout, OutputStream::kStderr};

struct Piece {
  std::string bytes;
  std::uint64_t position = 0;  ///< of the first of them in its stream
  MaskedText masked = {};
  /// Where in the masked stream that place is.
  std::uint64_t moved(std::uint64_t place) const { return position + masked.moved(place - position); }
};

/// The end of a stream that has no hole in it.
Piece tail_of(StreamFiles& files, std::uint64_t most) {
  const std::uint64_t begin = files.begin(), end = files.end();
  Piece piece;
  piece.position = end - begin > most ? end - most : begin;
  const bool cut = piece.position > begin;
  char block[64 << 10];
  for (std::uint64_t at = piece.position; at < end;) {
    const std::size_t wanted = static_cast<std::size_t>(std::min<std::uint64_t>(sizeof block, end - at));
    const StreamFiles::Bytes got = files.read(at, block, wanted);
    if (got.size == 0) {
      if (!got.resume || *got.resume <= at || *got.resume >= end) break;
      at = piece.position = *got.resume;
      piece.bytes.clear();
      continue;
    }
    piece.bytes.append(block, got.size);
    at += got.size;
  }
  const std::size_t line = cut ? piece.bytes.find('\n') : std::string::npos;
  if (line != std::string::npos && line + 1 < piece.bytes.size()) {
    piece.bytes.erase(0, line + 1);
    piece.position += line + 1;
  }
  return piece;
}

void put(std::string& index, const IndexRecord& record) {
  const auto bytes = encode_index_record(record);
  index.append(bytes.data(), bytes.size());
}

/// The part of `record` that is about `piece`, at its masked places; false if there is none.
bool clip(IndexRecord& record, const Piece& piece) {
  if (record.kind == IndexKind::kHead || record.kind == IndexKind::kFile) return false;
  const std::uint64_t end = record.position + (record.kind == IndexKind::kData ? record.value : 0);
  if (end < piece.position || (record.kind == IndexKind::kData && end == piece.position)) return false;
  record.position = piece.moved(std::max(record.position, piece.position));
  if (record.kind != IndexKind::kData) return true;
  record.value = piece.moved(end) - record.position;
  return record.value > 0;
}

std::string index_of(const UniqueFd& folder, const Piece& out, const Piece& err) {
  IndexReader reader(folder);
  if (!reader.exists()) return {};
  std::string index;
  put(index, {IndexKind::kHead, OutputStream::kStdout, GapReason::kNone, 0, 0, kIndexVersion});
  put(index, {IndexKind::kFile, OutputStream::kStdout, GapReason::kNone, 0, out.position, 0});
  put(index, {IndexKind::kFile, OutputStream::kStderr, GapReason::kNone, 0, err.position, 0});
  while (const IndexRecord* next = reader.peek()) {
    IndexRecord record = *next;
    reader.pop();
    if (clip(record, record.stream == OutputStream::kStdout ? out : err)) put(index, record);
  }
  return index;
}

}  // namespace

Result<LogTail> read_log_tail(const std::string& folder, std::uint64_t most, const Secrets& secrets) {
  const UniqueFd fd = DEWAR_TRY(open_file(folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  FileStarts starts(fd);
  starts.refresh();
  Piece pieces[2];
  for (const OutputStream stream : kStreams) {
    StreamFiles files(fd, stream, starts);
    Piece& piece = pieces[stream == OutputStream::kStderr];
    piece = tail_of(files, most);
    piece.masked = secrets.mask(piece.bytes);
  }
  LogTail tail;
  tail.index = index_of(fd, pieces[0], pieces[1]);
  tail.out = std::move(pieces[0].masked.text);
  tail.err = std::move(pieces[1].masked.text);
  return tail;
}

}  // namespace dewar
