#include "fetcher/cache/cache.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "agent/cli/commands.h"
#include "agent/cli/paint.h"
#include "base/files.h"
#include "base/json_writer.h"
#include "base/units.h"
#include "fetcher/config.h"

namespace dewar {
namespace {

struct CacheOptions {
  std::string config, until = "0";
  bool json = false;
};

using Work = Result<std::vector<CacheEntry>> (*)(Cache& cache, const CacheOptions& options);

void say(int fd, const std::string& words) { (void)write_all(fd, words, "output"); }

void put(JsonWriter& json, const CacheEntry& entry) {
  json.begin_object().field("sha256", entry.sha256).field("owner", entry.owner).field("bytes", entry.bytes);
  json.field("used", format_rfc3339(entry.used)).field("in_use", entry.in_use).key("uris").begin_array();
  for (const std::string& uri : entry.uris) json.value(uri);
  json.end_array().end_object();
}

std::string line_of(const CacheEntry& entry) {
  std::string line = entry.sha256 + "  " + entry.owner + "  " + format_bytes(entry.bytes) + "  " +
                     format_rfc3339(entry.used).substr(0, 19) + "Z";
  if (entry.in_use) line += "  in use";
  for (const std::string& uri : entry.uris) line += "  " + printable(uri);
  return line + "\n";
}

/// `word` is what has become of the entries that `work` returns.
ExitCode on_cache(const CacheOptions& options, const std::string& word, Work work, bool bad_if_any) {
  const auto refuse = [](const std::string& words, ExitCode code) {
    say(STDERR_FILENO, "dewar cache: " + printable(words) + "\n");
    return code;
  };
  if (::geteuid() != 0) return refuse("only root may look into the cache", ExitCode::kNoRights);
  const auto config = load_fetch_config(options.config);
  if (!config) return refuse(config.error().message(), ExitCode::kUsage);
  auto cache = Cache::open(config->cache_folder, config->cache_size);
  if (!cache) return refuse(cache.error().message(), ExitCode::kFailed);
  const auto entries = work(*cache, options);
  if (!entries) return refuse(entries.error().message(), ExitCode::kFailed);
  std::uint64_t total = 0;
  for (const CacheEntry& entry : *entries) total += entry.bytes;
  if (options.json) {
    JsonWriter json(JsonWriter::Style::kPretty);
    json.begin_object().field("folder", config->cache_folder).field("max_bytes", config->cache_size);
    json.field("bytes", total).key(word).begin_array();
    for (const CacheEntry& entry : *entries) put(json, entry);
    say(STDOUT_FILENO, json.end_array().end_object().take() + "\n");
  } else {
    for (const CacheEntry& entry : *entries) say(STDOUT_FILENO, line_of(entry));
    const char* noun = entries->size() == 1 ? " entry " : " entries ";
    say(STDOUT_FILENO, std::to_string(entries->size()) + noun + word + ", " + format_bytes(total) + "\n");
  }
  return bad_if_any && !entries->empty() ? ExitCode::kFailed : ExitCode::kDone;
}

}  // namespace

void add_cache(CLI::App& app, ExitCode& exit_code) {
  auto options = std::make_shared<CacheOptions>();
  CLI::App* cache = app.add_subcommand("cache", "The artifacts that this host keeps");
  cache->require_subcommand(1);
  const auto add = [&](const char* name, const char* help) {
    CLI::App* command = cache->add_subcommand(name, help);
    command->add_option("--config", options->config, "default: /etc/dewar/fetch.conf")->type_name("FILE");
    command->add_option("-o,--output", options->json, "text (default), json")
        ->type_name("FORM")
        ->transform(
            CLI::CheckedTransformer(std::map<std::string, bool>{{"text", false}, {"json", true}}).description(""));
    return command;
  };
  add("ls", "Lists them, the latest used first")->callback([options, &exit_code] {
    exit_code = on_cache(
        *options, "held", [](Cache& held, const CacheOptions&) { return held.list(); }, false);
  });
  add("verify", "Reads all bytes again; removes what is damaged, and then ends with 1")
      ->callback([options, &exit_code] {
        exit_code = on_cache(
            *options, "damaged", [](Cache& held, const CacheOptions&) { return held.verify(); }, true);
      });
  CLI::App* evict = add("evict", "Removes what nobody uses, the longest unused first");
  evict->add_option("--until", options->until, "stop once no more than this is held; default: 0, everything")
      ->type_name("SIZE");
  evict->callback([options, &exit_code] {
    const auto evict_until = [](Cache& held, const CacheOptions& asked) -> Result<std::vector<CacheEntry>> {
      return held.evict(DEWAR_TRY(parse_bytes(asked.until).context("--until")));
    };
    exit_code = on_cache(*options, "evicted", evict_until, false);
  });
}

}  // namespace dewar
