#include "fetcher/extract/decompressor.h"

#include <bzlib.h>
#include <isa-l/igzip_lib.h>
#include <lzma.h>
#include <zstd.h>

#include <algorithm>
#include <string>

namespace dewar {
namespace {

using std::string_view;

constexpr std::uint64_t kMostMemory = 128ULL << 20;
constexpr int kZstdWindowLog = 27;  // 128 MB, what zstd itself allows without --ultra --long=31

Failure cut_off(const char* what) { return fail(std::string("the ") + what + " data are cut off"); }
Failure damaged(const char* what, const std::string& why) {
  return fail(std::string("the ") + what + " data are damaged (" + why + ")");
}

/// The libraries count in 32 bits and take pointers that are not const.
template <class Byte>
Byte* bytes_of(string_view text) {
  return reinterpret_cast<Byte*>(const_cast<char*>(text.data()));
}
unsigned size_of(std::size_t size) { return static_cast<unsigned>(std::min<std::size_t>(size, 1u << 30)); }

/// gzip and bzip2: members, one after the other, which the library decodes one at a time.
class MemberDecompressor : public Decompressor {
 public:
  Result<bool> decode(string_view& in, std::span<char>& out, bool last) final {
    while (true) {
      if (between_ && !next_member(in)) {
        if (!in.empty()) return fail(std::string("something else follows the ") + name_ + " data");
        return last;
      }
      const std::size_t had_in = in.size(), had_out = out.size();
      between_ = DEWAR_TRY(step(in, out));
      if (between_) continue;
      if (out.empty() || in.empty() != last) return false;
      if (in.size() == had_in && out.size() == had_out) return cut_off(name_);
    }
  }

 protected:
  explicit MemberDecompressor(const char* name, string_view magic) : name_(name), magic_(magic) {}
  virtual void begin() = 0;
  /// True at the end of a member.
  virtual Result<bool> step(string_view& in, std::span<char>& out) = 0;
  const char* name() const { return name_; }

 private:
  /// After a member: skips zeros, and begins the next if there is one. False leaves what follows in `in`.
  bool next_member(string_view& in) {
    if (started_) in.remove_prefix(std::min(in.find_first_not_of('\0'), in.size()));
    if (in.empty() || in.front() != magic_.front()) return false;
    begin();
    started_ = true;
    return true;
  }

  const char* name_;
  string_view magic_;
  bool between_ = true, started_ = false;
};

class GzipDecompressor final : public MemberDecompressor {
 public:
  GzipDecompressor() : MemberDecompressor("gzip", "\x1f\x8b") {}

 private:
  void begin() override {
    isal_inflate_init(&state_);
    state_.crc_flag = ISAL_GZIP;
  }

  Result<bool> step(string_view& in, std::span<char>& out) override {
    state_.next_in = bytes_of<std::uint8_t>(in);
    state_.avail_in = size_of(in.size());
    state_.next_out = reinterpret_cast<std::uint8_t*>(out.data());
    state_.avail_out = size_of(out.size());
    const int code = isal_inflate(&state_);
    in.remove_prefix(static_cast<std::size_t>(state_.next_in - bytes_of<std::uint8_t>(in)));
    out = out.subspan(static_cast<std::size_t>(reinterpret_cast<char*>(state_.next_out) - out.data()));
    if (code == ISAL_INCORRECT_CHECKSUM) return damaged(name(), "wrong checksum");
    if (code == ISAL_INVALID_WRAPPER || code == ISAL_UNSUPPORTED_METHOD) return damaged(name(), "bad header");
    if (code < 0) return damaged(name(), "invalid code");
    return state_.block_state == ISAL_BLOCK_FINISH;
  }

  inflate_state state_{};
};

class Bzip2Decompressor final : public MemberDecompressor {
 public:
  Bzip2Decompressor() : MemberDecompressor("bzip2", "BZh") {}
  ~Bzip2Decompressor() override { ::BZ2_bzDecompressEnd(&stream_); }

 private:
  void begin() override {
    ::BZ2_bzDecompressEnd(&stream_);
    stream_ = {};
    ready_ = ::BZ2_bzDecompressInit(&stream_, 0, 0);
  }

  Result<bool> step(string_view& in, std::span<char>& out) override {
    if (ready_ != BZ_OK) return fail(std::errc::not_enough_memory, "bzip2");
    stream_.next_in = bytes_of<char>(in);
    stream_.avail_in = size_of(in.size());
    stream_.next_out = out.data();
    stream_.avail_out = size_of(out.size());
    const int code = ::BZ2_bzDecompress(&stream_);
    in.remove_prefix(static_cast<std::size_t>(stream_.next_in - in.data()));
    out = out.subspan(static_cast<std::size_t>(stream_.next_out - out.data()));
    if (code == BZ_MEM_ERROR) return fail(std::errc::not_enough_memory, "bzip2");
    if (code < 0) return damaged(name(), code == BZ_DATA_ERROR ? "wrong checksum" : "bad header");
    return code == BZ_STREAM_END;
  }

  bz_stream stream_{};
  int ready_ = BZ_OK;
};

class XzDecompressor final : public Decompressor {
 public:
  XzDecompressor() : ready_(::lzma_stream_decoder(&stream_, kMostMemory, LZMA_CONCATENATED)) {}
  ~XzDecompressor() override { ::lzma_end(&stream_); }

  Result<bool> decode(string_view& in, std::span<char>& out, bool last) override {
    if (ready_ != LZMA_OK) return fail(std::errc::not_enough_memory, "xz");
    stream_.next_in = bytes_of<std::uint8_t>(in);
    stream_.avail_in = in.size();
    stream_.next_out = reinterpret_cast<std::uint8_t*>(out.data());
    stream_.avail_out = out.size();
    const lzma_ret code = ::lzma_code(&stream_, last ? LZMA_FINISH : LZMA_RUN);
    in.remove_prefix(in.size() - stream_.avail_in);
    out = out.subspan(out.size() - stream_.avail_out);
    switch (code) {
      case LZMA_OK:
        return false;
      case LZMA_STREAM_END:
        return true;
      case LZMA_BUF_ERROR:
        return last ? Result<bool>(cut_off("xz")) : Result<bool>(false);
      case LZMA_MEMLIMIT_ERROR:
        return fail("the xz data ask for more than 128 MB of memory");
      case LZMA_MEM_ERROR:
        return fail(std::errc::not_enough_memory, "xz");
      case LZMA_OPTIONS_ERROR:
        return damaged("xz", "unknown option");
      default:
        return damaged("xz", "wrong checksum or invalid code");
    }
  }

 private:
  lzma_stream stream_ = LZMA_STREAM_INIT;
  lzma_ret ready_;
};

class ZstdDecompressor final : public Decompressor {
 public:
  ZstdDecompressor() : stream_(::ZSTD_createDStream()) {
    if (stream_) ::ZSTD_DCtx_setParameter(stream_.get(), ZSTD_d_windowLogMax, kZstdWindowLog);
  }

  Result<bool> decode(string_view& in, std::span<char>& out, bool last) override {
    if (!stream_) return fail(std::errc::not_enough_memory, "zstd");
    if (in.empty() && frame_over_) return last;
    ZSTD_inBuffer from{in.data(), in.size(), 0};
    ZSTD_outBuffer to{out.data(), out.size(), 0};
    const std::size_t code = ::ZSTD_decompressStream(stream_.get(), &to, &from);
    if (::ZSTD_isError(code)) return damaged("zstd", ::ZSTD_getErrorName(code));
    in.remove_prefix(from.pos);
    out = out.subspan(to.pos);
    frame_over_ = code == 0;
    if (in.empty() && last && frame_over_) return true;
    if (in.empty() && last && from.pos == 0 && to.pos == 0) return cut_off("zstd");
    return false;
  }

 private:
  struct Free {
    void operator()(ZSTD_DStream* stream) const { ::ZSTD_freeDStream(stream); }
  };
  std::unique_ptr<ZSTD_DStream, Free> stream_;
  bool frame_over_ = false;
};

}  // namespace

Compression compression_of(string_view head) {
  if (head.starts_with("\x1f\x8b")) return Compression::kGzip;
  if (head.starts_with("BZh") && head.size() > 3 && head[3] >= '1' && head[3] <= '9') return Compression::kBzip2;
  if (head.starts_with(string_view("\xfd"
                                   "7zXZ\0",
                                   6)))
    return Compression::kXz;
  if (head.starts_with("\x28\xb5\x2f\xfd")) return Compression::kZstd;
  const bool skippable = head.size() >= 4 && (static_cast<unsigned char>(head[0]) & 0xf0) == 0x50;
  if (skippable && head.substr(1, 3) == "\x2a\x4d\x18") return Compression::kZstd;
  return Compression::kNone;
}

string_view suffix_of(Compression compression) {
  switch (compression) {
    case Compression::kNone:
      return "";
    case Compression::kGzip:
      return "gz";
    case Compression::kBzip2:
      return "bz2";
    case Compression::kXz:
      return "xz";
    case Compression::kZstd:
      return "zst";
  }
  return "";
}

std::unique_ptr<Decompressor> make_decompressor(Compression compression) {
  switch (compression) {
    case Compression::kNone:
      return nullptr;
    case Compression::kGzip:
      return std::make_unique<GzipDecompressor>();
    case Compression::kBzip2:
      return std::make_unique<Bzip2Decompressor>();
    case Compression::kXz:
      return std::make_unique<XzDecompressor>();
    case Compression::kZstd:
      return std::make_unique<ZstdDecompressor>();
  }
  return nullptr;
}

}  // namespace dewar
