#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <memory>

#include "agent/cli/commands.h"
#include "agent/cli/paint.h"
#include "base/files.h"
#include "base/json_writer.h"
#include "base/process.h"
#include "base/units.h"
#include "fetcher/request.h"
#include "thermos/programs.h"
#include "thermos/spec/names.h"

namespace dewar {
namespace {

struct FetchOptions {
  Artifact artifact;
  std::string folder = ".", config;
  std::vector<std::string> headers;
  std::string timeout, max_size;
  bool extract = false, no_extract = false, cache = false, json = false, quiet = false;
};

void say(const std::string& words) { (void)write_all(STDERR_FILENO, words, "standard error"); }

/// A folder that is gone with everything in it at the end.
class ScratchFolder {
 public:
  ScratchFolder() {
    char name[] = "/tmp/dewar-fetch-XXXXXX";
    if (::mkdtemp(name) != nullptr) path_ = name;
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ~ScratchFolder() {
    if (!path_.empty()) (void)remove_tree(path_);
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

Result<FetchRequest> make_request(const FetchOptions& options, const std::string& scratch) {
  FetchRequest request;
  request.name = "dewar fetch";
  request.folder = std::filesystem::absolute(options.folder).lexically_normal().string();
  request.status_file = scratch + "/status";
  request.config = options.config;
  request.loopback = true;  // the caller can reach it too
  request.tell_digest = true;
  struct stat info {};
  if (::stat(request.folder.c_str(), &info) != 0) return fail_errno("--into " + options.folder);
  request.uid = info.st_uid, request.gid = info.st_gid;  // as root: as whoever owns the folder
  Artifact artifact = options.artifact;
  if (artifact.uri.starts_with('/') || artifact.uri.find("://") != std::string::npos) {
    const std::string problem = uri_problem(artifact.uri);
    if (!problem.empty()) return fail("'" + artifact.uri.substr(0, artifact.uri.find('?')) + "' " + problem);
  } else {
    return fail("'" + artifact.uri + "' is no URI: it needs a scheme in front, such as https://");
  }
  if (!artifact.output_file.empty() && !is_inner_path(artifact.output_file))
    return fail("--output-file wants a path below the folder, without '.' or '..'");
  for (const std::string& header : options.headers) {
    const std::size_t colon = header.find(": ");
    if (colon == std::string::npos || colon == 0) return fail("--header wants 'Name: value'");
    artifact.headers[header.substr(0, colon)] = header.substr(colon + 2);
  }
  for (std::string* digest : {&artifact.sha256, &artifact.sha512}) {
    const std::size_t digits = digest == &artifact.sha256 ? 64 : 128;
    for (char& c : *digest) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    if (!digest->empty() &&
        (digest->size() != digits || digest->find_first_not_of("0123456789abcdef") != std::string::npos))
      return fail("--sha" + std::string(digits == 64 ? "256" : "512") + " wants " + std::to_string(digits) +
                  " hexadecimal digits");
  }
  if (!options.timeout.empty()) artifact.timeout = DEWAR_TRY(parse_duration(options.timeout).context("--timeout"));
  if (!options.max_size.empty()) artifact.max_size = DEWAR_TRY(parse_bytes(options.max_size).context("--max-size"));
  if (artifact.timeout <= Duration{}) return fail("--timeout must be above 0");
  artifact.extract = options.extract ? Unpack::kAlways : Unpack::kNever;
  artifact.cache = options.cache ? CacheUse::kYes : CacheUse::kNo;
  request.artifacts.push_back(std::move(artifact));
  return request;
}

/// "[######----] svc.tgz: 45 % of 300.0 MB, …" in place.
void draw(const FetchStatus& status) {
  const std::string words = describe_progress(status);
  if (words.empty()) return;
  constexpr std::uint64_t kWidth = 24;
  const std::uint64_t filled = status.total > 0 ? std::min(status.bytes, status.total) * kWidth / status.total : 0;
  say("\r[" + std::string(filled, '#') + std::string(kWidth - filled, '-') + "] " + printable(words) + "\x1b[K");
}

/// Follows the status file until the fetcher has ended.
void follow(const UniqueFd& fetcher, const std::string& scratch, bool bar) {
  const UniqueFd changes(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (changes) ::inotify_add_watch(changes.get(), scratch.c_str(), IN_MOVED_TO);
  for (;;) {
    pollfd sources[] = {{fetcher.get(), POLLIN, 0}, {changes.get(), POLLIN, 0}};
    retry_eintr([&] { return ::poll(sources, 2, -1); });
    if (sources[0].revents != 0) break;
    char names[4096];
    (void)!::read(changes.get(), names, sizeof names);
    const auto bytes = read_file(scratch + "/status");
    const auto status = bytes ? decode_fetch_status(*bytes) : Result<FetchStatus>(fail("none yet"));
    if (bar && status) draw(*status);
  }
  if (bar) say("\r\x1b[K");
}

std::string json_of(const FetchStatus& status, const std::string& error) {
  JsonWriter json(JsonWriter::Style::kPretty);
  json.begin_object();
  error.empty() ? json.key("error").null() : json.field("error", error);
  json.key("artifacts").begin_array();
  for (const FetchedItem& item : status.items) {
    json.begin_object().field("uri", item.uri).field("path", item.path).field("sha256", item.sha256);
    json.field("bytes", item.bytes).field("files", item.files).field("seconds", item.seconds);
    json.field("from", item.from).end_object();
  }
  return json.end_array().end_object().take() + "\n";
}

ExitCode fetch_for_a_person(const FetchOptions& options) {
  const auto refuse = [](const std::string& words) {
    say("dewar fetch: " + printable(words) + "\n");
    return ExitCode::kUsage;
  };
  const ScratchFolder scratch;
  const auto request = make_request(options, scratch.path());
  if (!request) return refuse(request.error().message());
  const std::string file = scratch.path() + "/request";
  if (auto written = replace_file(file, encode_fetch_request(*request), 0600); !written)
    return refuse(written.error().message());
  const auto program = find_own_program("dewar-fetch");
  if (!program) return refuse(program.error().message());
  Spawn fetcher;
  fetcher.program = *program;
  fetcher.argv = {"dewar-fetch", file};
  fetcher.env = {"PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8"};
  const std::string errors = scratch.path() + "/errors";
  const auto err = open_file(errors, O_RDWR | O_CREAT | O_EXCL, 0600);
  if (!err) return refuse(err.error().message());
  fetcher.fds = {-1, -1, err->get()};
  ::signal(SIGINT, SIG_IGN);  // Ctrl-C ends the fetcher; we tidy up after it
  const auto pid = spawn(fetcher);
  if (!pid) return refuse(pid.error().message());
  if (const auto pidfd = open_child(*pid))
    follow(*pidfd, scratch.path(), !options.json && ::isatty(STDERR_FILENO) == 1);
  int status = 0;
  retry_eintr([&] { return ::waitpid(*pid, &status, 0); });
  const auto bytes = read_file(scratch.path() + "/status");
  const auto last = bytes ? decode_fetch_status(*bytes) : Result<FetchStatus>(fail("dewar-fetch said nothing"));
  std::string error;
  if (!WIFEXITED(status)) {
    error = "interrupted";
  } else if (WEXITSTATUS(status) != 0) {
    const auto words = read_file(errors);
    error = last && !last->words.empty() ? last->words : words ? words->substr(0, words->find('\n')) : "it failed";
  }
  if (options.json) {
    (void)write_all(STDOUT_FILENO, json_of(last ? *last : FetchStatus{}, error), "output");
  } else if (error.empty() && last && !options.quiet) {
    for (const FetchedItem& item : last->items)
      (void)write_all(STDOUT_FILENO, item.sha256 + "  " + printable(item.path) + "\n", "output");
  }
  if (error.empty()) return ExitCode::kDone;
  if (!options.json) say("dewar fetch: " + printable(error) + "\n");
  return ExitCode::kFailed;
}

}  // namespace

void add_fetch(CLI::App& app, ExitCode& exit_code) {
  auto options = std::make_shared<FetchOptions>();
  Artifact& artifact = options->artifact;
  CLI::App* fetch = app.add_subcommand("fetch", "Fetches one artifact as a task would, and tells its SHA-256");
  fetch->add_option("URI", artifact.uri, "http, https, ftp, ftps, file, or a scheme of /etc/dewar/fetch.conf")
      ->required();
  fetch->add_option("--into", options->folder, "folder that exists; default: this one")->type_name("DIR");
  fetch->add_option("--output-file", artifact.output_file, "default: the last part of the URI")->type_name("NAME");
  fetch->add_option("--mirror", artifact.mirrors, "another URI of the same bytes; repeatable")
      ->type_name("URI")
      ->allow_extra_args(false);
  fetch->add_option("--sha256", artifact.sha256, "what the bytes must be")->type_name("HEX");
  fetch->add_option("--sha512", artifact.sha512, "")->type_name("HEX");
  fetch->add_flag("--extract", options->extract, "unpack it, as an archive");
  fetch->add_flag("--executable", artifact.executable, "mode 0755");
  fetch->add_flag("--cache", options->cache, "use the host's cache (as root)");
  fetch->add_option("--header", options->headers, "sent to the URI's own host only; repeatable")
      ->type_name("'NAME: VALUE'")
      ->allow_extra_args(false);
  fetch->add_option("--credential", artifact.credential, "a file below /etc/dewar/credentials")->type_name("NAME");
  fetch->add_option("--timeout", options->timeout, "for all tries together; default: 30m")->type_name("SPAN");
  fetch->add_option("--max-size", options->max_size, "")->type_name("SIZE");
  fetch->add_option("--config", options->config, "default: /etc/dewar/fetch.conf")->type_name("FILE");
  fetch->add_flag("-q,--quiet", options->quiet, "no line on success");
  fetch->add_option("-o,--output", options->json, "text (default), json")
      ->type_name("FORM")
      ->transform(
          CLI::CheckedTransformer(std::map<std::string, bool>{{"text", false}, {"json", true}}).description(""));
  fetch->footer("Exit status: 0 it is there; 1 it could not be fetched; 2 wrong usage.");
  fetch->callback([options, &exit_code] { exit_code = fetch_for_a_person(*options); });
}

}  // namespace dewar
