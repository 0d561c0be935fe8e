// dewar-fetch REQUEST [RUN]: fetches what the file REQUEST names (fetcher/request.h). Exit status: 0 all is there; 1
// not, standard error says why; 2 wrong usage or a damaged request.
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <charconv>
#include <csignal>
#include <cstring>

#include "base/files.h"
#include "fetcher/confine.h"
#include "fetcher/fetch.h"

namespace dewar {
namespace {

int complain(int code, const std::string& words) {
  (void)write_all(STDERR_FILENO, words + "\n", "standard error");
  return code;
}

int run(int argc, char** argv) {
  std::int32_t number = 0;
  const char* last = argc == 3 ? argv[2] : "0";
  if (argc < 2 || argc > 3 || std::from_chars(last, last + std::strlen(last), number).ec != std::errc{})
    return complain(2, "usage: dewar-fetch REQUEST [RUN]");
  ::signal(SIGPIPE, SIG_IGN);
  ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);  // it holds secrets for a while
  ::umask(022);
  if (const auto kept = keep_capabilities(kFetchCapabilities); !kept) return complain(1, kept.error().message());
  const auto bytes = read_file(argv[1]);
  if (!bytes) return complain(2, bytes.error().message());
  const auto request = decode_fetch_request(*bytes);
  if (!request) return complain(2, request.error().message());
  const auto config = load_fetch_config(request->config);
  if (!config) return complain(1, request->name + ": " + config.error().message());
  const auto done = fetch(*request, *config, number, [](const std::string& line) {
    (void)write_all(STDOUT_FILENO, line + "\n", "standard output");
  });
  return done ? 0 : complain(1, done.error().message());
}

}  // namespace
}  // namespace dewar

int main(int argc, char** argv) { return dewar::run(argc, argv); }
