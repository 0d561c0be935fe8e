#include "isolation/compress/archive.h"

#include <unistd.h>
#include <zstd.h>

#include <memory>
#include <string>
#include <vector>

#include "base/encoding.h"
#include "base/files.h"

namespace dewar {
namespace {

constexpr std::size_t kFrame = 256u << 10;
constexpr int kLevel = 3;
// The seekable format's own numbers.
constexpr std::uint32_t kTableMagic = 0x184D2A5E, kFooterMagic = 0x8F92EAB1;
constexpr std::size_t kFooterSize = 9;

struct FreeContext {
  void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
};

struct Frame {
  std::uint32_t compressed, content;
};

std::string seek_table(const std::vector<Frame>& frames) {
  Encoder table;
  table(kTableMagic, static_cast<std::uint32_t>(frames.size() * 8 + kFooterSize));
  for (const Frame& frame : frames) table(frame.compressed, frame.content);
  table(static_cast<std::uint32_t>(frames.size()), std::uint8_t{0}, kFooterMagic);
  return table.take();
}

/// How much of `bytes` makes the next frame: whole lines, if one ends there.
std::size_t frame_size(std::string_view bytes) {
  if (bytes.size() < kFrame) return bytes.size();
  const std::size_t line_end = bytes.substr(0, kFrame).rfind('\n');
  return line_end == std::string_view::npos ? kFrame : line_end + 1;
}

}  // namespace

Result<void> write_archive(int from, int to, const ArchiveHead& head) {
  const std::unique_ptr<ZSTD_CCtx, FreeContext> context(ZSTD_createCCtx());
  std::string out(ZSTD_compressBound(kFrame), '\0'), in(kFrame, '\0');
  if (!context) return fail(std::errc::not_enough_memory, "compress");
  ZSTD_CCtx_setParameter(context.get(), ZSTD_c_compressionLevel, kLevel);
  ZSTD_CCtx_setParameter(context.get(), ZSTD_c_checksumFlag, 1);

  const auto first = encode_archive_head(head);
  DEWAR_TRY(write_all(to, {first.data(), first.size()}, "archive"));
  std::vector<Frame> frames{{static_cast<std::uint32_t>(first.size()), 0}};
  std::uint64_t total = 0;
  for (std::size_t held = 0;;) {
    const ssize_t n = retry_eintr([&] { return ::read(from, in.data() + held, kFrame - held); });
    if (n < 0) return fail_errno("read the log");
    held += static_cast<std::size_t>(n);
    if (held < kFrame && n > 0) continue;
    if (held == 0) break;
    const std::size_t size = frame_size({in.data(), held});
    const std::size_t made = ZSTD_compress2(context.get(), out.data(), out.size(), in.data(), size);
    if (ZSTD_isError(made)) return fail(std::errc::io_error, std::string("compress: ") + ZSTD_getErrorName(made));
    DEWAR_TRY(write_all(to, {out.data(), made}, "archive"));
    frames.push_back({static_cast<std::uint32_t>(made), static_cast<std::uint32_t>(size)});
    total += size;
    in.erase(0, size);
    in.resize(kFrame);
    held -= size;
  }
  if (total != head.size) return fail(std::errc::value_too_large, "compress: the log has changed meanwhile");
  return write_all(to, seek_table(frames), "archive");
}

}  // namespace dewar
