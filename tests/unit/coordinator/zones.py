"""zones.py PROBE: offsets and times against Python's zoneinfo, at random. The rules of cron.h are written here once more, minute by minute."""
import datetime, os, random, subprocess, sys, zoneinfo

UTC = datetime.timezone.utc
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=UTC)
MINUTE = datetime.timedelta(minutes=1)
seed = int(os.environ.get("TROUPE_SEED", "1"))
rounds = int(os.environ.get("TROUPE_ROUNDS", "1"))
rng = random.Random(seed)
probe_path = sys.argv[1]
bad = 0
n = 0


def ask(lines):
    done = subprocess.run([probe_path], input="\n".join(lines) + "\n", capture_output=True, text=True, check=True)
    answers = done.stdout.splitlines()
    assert len(answers) == len(lines), (len(answers), len(lines))
    return answers


def point(differ, name):
    global n, bad
    n += 1
    bad += bool(differ)
    print("%s %d - %s" % ("not ok" if differ else "ok", n, name))
    for line in differ[:10]:
        print("# " + line)


def shown(at, zone):
    local = (EPOCH + datetime.timedelta(seconds=at)).astimezone(zone)
    return "%d %s" % (round(local.utcoffset().total_seconds()), local.tzname())


def fields(expression):
    """The sets of an expression without names."""
    bits = []
    for text, low, high in zip(expression.split(), (0, 0, 1, 1, 0), (59, 23, 31, 12, 7)):
        values = set()
        for item in text.split(","):
            span, _, step = item.partition("/")
            a, _, b = span.partition("-")
            a, b = (low, high) if span == "*" else (int(a), int(b or a))
            values |= set(range(a, b + 1, int(step or 1)))
        bits.append(values)
    bits[4] = {v % 7 for v in bits[4]}
    return bits


def expected(expression, zone, after, until):
    """All times with after < time <= until, in UTC seconds, by looking at each local minute."""
    minutes, hours, days, months, weekdays = fields(expression)
    words = expression.split()
    either = words[2][0] != "*" and words[4][0] != "*"
    often = words[1][0] == "*"
    every = often and len(hours) == 24
    local = (EPOCH + datetime.timedelta(seconds=after - 2 * 86400)).replace(tzinfo=None, second=0)
    end = (EPOCH + datetime.timedelta(seconds=until + 2 * 86400)).replace(tzinfo=None)
    found = set()
    while local < end:
        of_month, of_week = local.day in days, (local.weekday() + 1) % 7 in weekdays
        if local.minute in minutes and local.hour in hours and local.month in months and (of_month or of_week if either else of_month and of_week):
            passes = set()
            for fold in (0, 1):
                at = local.replace(tzinfo=zone, fold=fold).astimezone(UTC)
                if at.astimezone(zone).replace(tzinfo=None) == local:
                    passes.add(int((at - EPOCH).total_seconds()))
            if passes:
                found |= passes if often else {min(passes)}
            elif not every:
                found.add(behind_gap(local, zone))
        local += MINUTE
    return sorted(at for at in found if after < at <= until)


def behind_gap(local, zone):
    """The first second at which the clock shows a later time."""
    low = int((local.replace(tzinfo=UTC) - EPOCH).total_seconds()) - 2 * 86400
    high = low + 4 * 86400
    while high - low > 1:
        middle = (low + high) // 2
        if (EPOCH + datetime.timedelta(seconds=middle)).astimezone(zone).replace(tzinfo=None) >= local:
            high = middle
        else:
            low = middle
    return high


def some_field(low, high):
    kind = rng.randrange(6)
    a, b = sorted((rng.randint(low, high), rng.randint(low, high)))
    return ["*", "*/%d" % rng.choice([2, 3, 5]), str(a), "%d-%d" % (a, b), "%d-%d/%d" % (a, b, rng.choice([2, 3])), "%d,%d" % (a, b)][kind]


def some_expression():
    day = some_field(1, 31) if rng.random() < 0.2 else "*"
    weekday = some_field(0, 6) if rng.random() < 0.2 else "*"
    return " ".join((some_field(0, 59), rng.choice([some_field(0, 23), some_field(0, 4), "2", "*", "*/2"]), day, "*", weekday))


def changes(zone, year):
    """UTC seconds near which the offset changes in that year."""
    at = int((datetime.datetime(year, 1, 1, tzinfo=UTC) - EPOCH).total_seconds())
    days = [at + 86400 * i for i in range(367)]
    offsets = [(EPOCH + datetime.timedelta(seconds=x)).astimezone(zone).utcoffset() for x in days]
    return [days[i] for i in range(366) if offsets[i] != offsets[i + 1]]


names = sorted(x for x in zoneinfo.available_timezones() if os.path.exists("/usr/share/zoneinfo/" + x) and not x.startswith("right/") and x != "localtime")
if not names:
    print("1..0 # SKIP no zones on this machine")
    sys.exit(0)
zones = {name: zoneinfo.ZoneInfo(name) for name in names}

asked = [(name, rng.randint(0, 4102444800)) for name in names for _ in range(60 * rounds)]
asked += [(name, at + rng.randint(-7200, 90000)) for name in names for year in (rng.randint(1970, 2036), rng.randint(2038, 2099)) for at in changes(zones[name], year)]
answers = ask(["at %s %d" % a for a in asked])
point(["%s %d: %s, not %s" % (name, at, answer, shown(at, zones[name])) for (name, at), answer in zip(asked, answers) if answer != shown(at, zones[name])],
      "offsets and letters of %d zones at %d times" % (len(names), len(asked)))

lines, wanted = [], []
while len(lines) < 400 * rounds:
    name = rng.choice(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "America/Sao_Paulo", "Africa/Casablanca"] + names)
    near = changes(zones[name], rng.randint(1971, 2060))
    if not near:
        continue
    after = rng.choice(near) - rng.randint(0, 86400)
    expression = some_expression()
    times = expected(expression, zones[name], after, after + 3 * 86400)
    lines.append("next %s %d %d %s" % (name, after, len(times) + 1, expression))
    wanted.append((after + 3 * 86400, times))
answers = ask(lines)
differ = []
for line, answer, (until, times) in zip(lines, answers, wanted):
    got = [int(x) for x in answer.split()] if answer[:5] != "error" else answer
    if got[:len(times)] != times or (len(got) > len(times) and got[-1] <= until):
        differ.append("%s: %s, not %s" % (line, got, times))
point(differ, "the times of %d expressions around changes of offset" % len(lines))
print("1..%d" % n)
sys.exit(1 if bad else 0)
