#include "tests/extract/archives.h"

#include <bzlib.h>
#include <isa-l/crc.h>
#include <isa-l/igzip_lib.h>
#include <lzma.h>
#include <zstd.h>

#include <cstdio>
#include <cstdlib>

namespace dewar {
namespace {

void put(std::string& block, std::size_t at, std::string_view text, std::size_t size) {
  block.replace(at, std::min(size, text.size()), text.substr(0, size));
}

std::string octal(std::uint64_t number, int digits) {
  char text[32];
  std::snprintf(text, sizeof text, "%0*llo", digits, static_cast<unsigned long long>(number));
  return text;
}

std::string padded(std::string bytes) {
  bytes.resize((bytes.size() + 511) / 512 * 512);
  return bytes;
}

std::string little(std::uint64_t number, int bytes) {
  std::string text;
  for (int i = 0; i < bytes; ++i) text += static_cast<char>(number >> (8 * i));
  return text;
}

std::string pax_lines(const std::vector<std::pair<std::string, std::string>>& fields) {
  std::string lines;
  for (const auto& [key, value] : fields) {
    std::size_t size = key.size() + value.size() + 3;
    while (size != std::to_string(size).size() + key.size() + value.size() + 3)
      size = std::to_string(size).size() + key.size() + value.size() + 3;
    lines += std::to_string(size) + " " + key + "=" + value + "\n";
  }
  return lines;
}

void demand(bool truth) {
  if (!truth) std::abort();
}

}  // namespace

void fix_checksum(std::string& header) {
  put(header, 148, "        ", 8);
  unsigned sum = 0;
  for (std::size_t i = 0; i < 512; ++i) sum += static_cast<unsigned char>(header[i]);
  put(header, 148, octal(sum, 6) + std::string("\0 ", 2), 8);
}

std::string tar_header(const TarEntry& entry) {
  std::string block(512, '\0');
  put(block, 0, entry.name, 100);
  put(block, 100, octal(entry.mode, 7), 7);
  put(block, 108, octal(0, 7), 7);
  put(block, 116, octal(0, 7), 7);
  put(block, 124, octal(entry.content.size(), 11), 11);
  if (entry.stated_size != -1) {
    block[124] = static_cast<char>(entry.stated_size < 0 ? 0xff : 0x80);
    for (std::size_t i = 1; i < 12; ++i)
      block[124 + i] =
          static_cast<char>(i < 4 ? (entry.stated_size < 0 ? 0xff : 0) : entry.stated_size >> (8 * (11 - i)));
  }
  put(block, 136, octal(1'600'000'000, 11), 11);
  block[156] = entry.type;
  put(block, 157, entry.link, 100);
  put(block, 257, std::string_view("ustar\00000", 8), 8);
  fix_checksum(block);
  return block;
}

std::string tar_entry(const TarEntry& entry) {
  std::string bytes;
  if (!entry.pax.empty()) bytes += tar_entry({.name = "pax", .type = 'x', .content = pax_lines(entry.pax)});
  if (!entry.long_name.empty())
    bytes += tar_entry({.name = "././@LongLink", .type = 'L', .content = entry.long_name + '\0'});
  if (!entry.long_link.empty())
    bytes += tar_entry({.name = "././@LongLink", .type = 'K', .content = entry.long_link + '\0'});
  return bytes + tar_header(entry) + padded(entry.content);
}

std::string tar(const std::vector<TarEntry>& entries) {
  std::string bytes;
  for (const TarEntry& entry : entries) bytes += tar_entry(entry);
  return bytes + std::string(1024, '\0');
}

std::string deflated(const std::string& bytes, int wrapper) {
  std::string out(bytes.size() + bytes.size() / 8 + 4096, '\0');
  isal_zstream stream{};
  isal_deflate_init(&stream);
  stream.gzip_flag = static_cast<std::uint16_t>(wrapper);
  stream.end_of_stream = 1;
  stream.next_in = reinterpret_cast<std::uint8_t*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<std::uint32_t>(bytes.size());
  stream.next_out = reinterpret_cast<std::uint8_t*>(out.data());
  stream.avail_out = static_cast<std::uint32_t>(out.size());
  demand(isal_deflate(&stream) == COMP_OK && stream.avail_in == 0);
  out.resize(stream.total_out);
  return out;
}

std::string zip(const std::vector<ZipEntry>& entries) {
  std::string bytes, central;
  for (const ZipEntry& entry : entries) {
    const auto* const content = reinterpret_cast<const unsigned char*>(entry.content.data());
    unsigned sum = ::crc32_gzip_refl(0, content, entry.content.size());
    if (entry.wrong_checksum) ++sum;
    const std::string data = entry.deflated ? deflated(entry.content, IGZIP_DEFLATE) : entry.content;
    const std::string common = little(entry.flags, 2) + little(entry.deflated ? 8 : 0, 2) + little(0x58210000, 4) +
                               little(sum, 4) + little(data.size(), 4) + little(entry.content.size(), 4);
    const std::string local = entry.local_name.empty() ? entry.name : entry.local_name;
    central += "PK\1\2" + little(3 << 8 | 20, 2) + little(20, 2) + common + little(entry.name.size(), 2) +
               little(0, 8) + little(std::uint64_t{entry.mode} << 16, 4) + little(bytes.size(), 4) + entry.name;
    bytes += "PK\3\4" + little(20, 2) + common + little(local.size(), 2) + little(0, 2) + local + data;
  }
  return bytes + central + "PK\5\6" + little(0, 4) + little(entries.size(), 2) + little(entries.size(), 2) +
         little(central.size(), 4) + little(bytes.size(), 4) + little(0, 2);
}

std::string packed(Compression compression, const std::string& bytes) {
  std::string out(bytes.size() + bytes.size() / 8 + 4096, '\0');
  auto* const from = reinterpret_cast<std::uint8_t*>(const_cast<char*>(bytes.data()));
  auto* const to = reinterpret_cast<std::uint8_t*>(out.data());
  if (compression == Compression::kGzip) {
    return deflated(bytes, IGZIP_GZIP);
  } else if (compression == Compression::kBzip2) {
    auto size = static_cast<unsigned>(out.size());
    demand(::BZ2_bzBuffToBuffCompress(out.data(), &size, const_cast<char*>(bytes.data()),
                                      static_cast<unsigned>(bytes.size()), 9, 0, 0) == BZ_OK);
    out.resize(size);
  } else if (compression == Compression::kXz) {
    std::size_t size = 0;
    demand(::lzma_easy_buffer_encode(1, LZMA_CHECK_CRC64, nullptr, from, bytes.size(), to, &size, out.size()) ==
           LZMA_OK);
    out.resize(size);
  } else if (compression == Compression::kZstd) {
    ZSTD_CCtx* const context = ::ZSTD_createCCtx();
    ::ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
    const std::size_t size = ::ZSTD_compress2(context, out.data(), out.size(), bytes.data(), bytes.size());
    demand(!::ZSTD_isError(size));
    ::ZSTD_freeCCtx(context);
    out.resize(size);
  } else {
    return bytes;
  }
  return out;
}

}  // namespace dewar
