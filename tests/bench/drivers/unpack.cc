// unpack FOLDER NAME [confined]: unpacks standard input, and says in one line what it did. For benchmarks and for
// looking at archives by hand.
#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <string>

#include "base/files.h"
#include "fetcher/confine.h"
#include "fetcher/extract.h"

namespace {

dewar::Result<dewar::ExtractReport> unpack(const std::string& folder, const std::string& name, bool confined) {
  dewar::UniqueFd target = DEWAR_TRY(dewar::open_file(folder, O_RDONLY | O_DIRECTORY));
  if (confined) DEWAR_TRY(dewar::confine_extraction(target.get()));
  return dewar::extract_file(STDIN_FILENO, std::move(target), name);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fputs("usage: unpack FOLDER NAME [confined] <ARCHIVE\n", stderr);
    return 2;
  }
  const auto report = unpack(argv[1], argv[2], argc > 3);
  if (!report) {
    std::fprintf(stderr, "unpack: %s\n", report.error().message().c_str());
    return 1;
  }
  std::printf("%s: %llu bytes of archive, %llu bytes in %llu files, %llu folders, %llu symlinks, %llu hard links\n",
              report->format.c_str(), static_cast<unsigned long long>(report->bytes_in),
              static_cast<unsigned long long>(report->bytes), static_cast<unsigned long long>(report->files),
              static_cast<unsigned long long>(report->folders), static_cast<unsigned long long>(report->symlinks),
              static_cast<unsigned long long>(report->hard_links));
  return 0;
}
