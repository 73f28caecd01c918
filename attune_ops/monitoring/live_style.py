"""The style of the live view: one accent, no frames around the numbers, dim where a value is old."""

STYLE = """
Screen { background: $background; layers: base; }
#title { height: 1; padding: 0 1; }
#verdict { height: auto; max-height: 3; padding: 0 1; margin-bottom: 1; }
#tiles { height: 2; padding: 0 1; }
.tile { width: 1fr; height: 2; }
#tabs { height: 1; margin-top: 1; padding: 0 1; }
#note { height: auto; max-height: 3; padding: 0 2; }
#rows { height: 1fr; background: $background; padding: 0 1; overflow-x: hidden; scrollbar-size-vertical: 1; }
#rows:focus { background-tint: $foreground 0%; }
#rows > .datatable--header { background: $background; color: $text-muted; text-style: none; }
#rows > .datatable--cursor { background: $primary 30%; color: $foreground; text-style: bold; }
#rows > .datatable--hover { background: $background; }
#filter { height: 1; border: none; padding: 0 1; background: $surface; }
LiveView:nocolor #rows > .datatable--cursor { text-style: bold reverse; }
.stale #rows, .stale #tiles, .stale .page { text-opacity: 55%; }
.page-title { height: 1; padding: 0 1; margin-bottom: 1; }
.page { padding: 0 2; height: auto; }
ChangeScreen, ChoiceScreen { align: center middle; background: $background 70%; }
#panel { width: 90%; max-width: 120; height: auto; max-height: 100%; background: $surface; padding: 0 2;
         border: round $primary; }
#panel #title { height: auto; padding: 0; margin-bottom: 1; }
#plan-box { height: auto; max-height: 50vh; }
#plan { height: auto; }
#ask { height: auto; margin-top: 1; }
#panel Footer { dock: none; height: 1; margin-top: 1; background: $surface; }
"""
