-- Draws the outputs of each execution as virtual lines under the code that made them.
local images = require("zmqkernel.images")
local M = {}

local LINES = 12 -- of one execution; the rest is counted
local namespace = vim.api.nvim_create_namespace("zmqkernel")
local shown = {} -- execution -> { buf, id (of the mark), images (paths) }
local groups = { ok = "DiagnosticOk", error = "DiagnosticError", died = "DiagnosticError" }
groups.running, groups.waiting = "DiagnosticInfo", "DiagnosticWarn"

for name, link in pairs({ Output = "Comment", Error = "DiagnosticError", Earlier = "NonText" }) do
  vim.api.nvim_set_hl(0, "ZmqKernel" .. name, { link = link, default = true })
end

-- The text of one output: (text, is an error). Paths of its images are added to `paths`.
local function text_of(output, paths)
  if output.output_type == "stream" then
    return output.text, output.name == "stderr"
  elseif output.output_type == "error" then
    local trace = table.concat(output.traceback or {}, "\n")
    return trace ~= "" and trace or (output.ename .. ": " .. output.evalue), true
  end
  local parts = {}
  for mime, data in vim.spairs(output.data or {}) do
    if mime == "text/plain" then
      table.insert(parts, 1, data)
    elseif mime:match("^image/") then
      local path = images.path(mime, data)
      table.insert(parts, path and vim.fn.fnamemodify(path, ":~") or ("[" .. mime .. "]"))
      table.insert(paths, path)
    end
  end
  return table.concat(parts, "\n"), false
end

local function lines_of(execution, paths)
  local lines = {}
  for _, output in ipairs(execution.outputs) do
    local text, is_error = text_of(output, paths)
    local group = execution.earlierKernel and "ZmqKernelEarlier" or is_error and "ZmqKernelError" or "ZmqKernelOutput"
    text = text:gsub("\27%[[%d;]*%a", ""):gsub("\n$", "")
    for line in vim.gsplit(text, "\n", { plain = true }) do
      table.insert(lines, { { "  " .. line:gsub("\t", "    "), group } })
    end
  end
  if #lines > LINES then
    -- The end says most: the last progress, the error.
    local left_out = #lines - LINES
    lines = vim.list_slice(lines, left_out + 1)
    table.insert(lines, 1, { { ("  ... %d more lines"):format(left_out), "ZmqKernelOutput" } })
  end
  return lines
end

local function duration_of(seconds)
  if seconds < 0.001 then
    return ""
  elseif seconds < 0.0095 then
    return ("%.0f ms"):format(seconds * 1000)
  elseif seconds < 10 then
    return (seconds < 1 and "%.2f s" or "%.1f s"):format(seconds)
  end
  local whole = math.floor(seconds + 0.5)
  if whole < 60 then
    return ("%d s"):format(whole)
  elseif whole < 3600 then
    return ("%d min %d s"):format(math.floor(whole / 60), whole % 60)
  end
  return ("%d h %d min"):format(math.floor(whole / 3600), math.floor(whole % 3600 / 60))
end

local function status_of(execution)
  local words = { execution.state == "waiting" and "waiting for input" or execution.state }
  if type(execution.count) == "number" then
    table.insert(words, 1, ("[%d]"):format(execution.count))
  end
  local duration = execution.duration and duration_of(execution.duration) or ""
  if duration ~= "" then
    table.insert(words, duration)
  end
  if execution.stale then
    table.insert(words, "(stale)")
  end
  if execution.earlierKernel then
    table.insert(words, "(earlier kernel)")
  end
  local group = execution.earlierKernel and "ZmqKernelEarlier" or groups[execution.state] or "Comment"
  return { "  " .. table.concat(words, " "), group }
end

-- Is there room behind this line in every window that shows it?
local function fits(buf, row, text)
  local line = vim.api.nvim_buf_get_lines(buf, row, row + 1, false)[1] or ""
  local width = vim.fn.strdisplaywidth(line)
  for _, window in ipairs(vim.fn.win_findbuf(buf)) do
    local columns = vim.api.nvim_win_get_width(window) - vim.fn.getwininfo(window)[1].textoff
    local used = vim.wo[window].wrap and width % columns or width
    if used + 1 + vim.fn.strdisplaywidth(text) > columns then
      return false
    end
  end
  return true
end

local function clear(execution)
  local mark = shown[execution]
  shown[execution] = nil
  if mark and vim.api.nvim_buf_is_valid(mark.buf) then
    vim.api.nvim_buf_del_extmark(mark.buf, namespace, mark.id)
  end
end

function M.show(execution)
  for _, replaced in ipairs(execution.replaces or {}) do
    clear(replaced)
  end
  local range = execution.range
  local buf = vim.uri_to_bufnr(execution.uri)
  if type(range) ~= "table" or not vim.api.nvim_buf_is_loaded(buf) then
    return clear(execution.execution)
  end
  local known = shown[execution.execution]
  local row = math.min(range["end"].line, vim.api.nvim_buf_line_count(buf) - 1)
  if known and execution.version ~= (vim.lsp.util.buf_versions or {})[buf] then
    -- The text has moved on since; so has the mark, by itself.
    row = vim.api.nvim_buf_get_extmark_by_id(buf, namespace, known.id, {})[1] or row
  end
  local paths = {}
  local status, lines = status_of(execution), lines_of(execution, paths)
  local behind = fits(buf, row, status[1])
  if not behind then
    table.insert(lines, 1, { status })
  end
  local id = vim.api.nvim_buf_set_extmark(buf, namespace, row, 0, {
    id = known and known.id or nil,
    virt_text = behind and { status } or nil,
    virt_lines = lines,
    invalidate = true,
  })
  shown[execution.execution] = { buf = buf, id = id, images = paths }
end

-- The images nearest below a row (from 0) of a buffer.
function M.images(buf, row)
  local found, nearest = {}, math.huge
  for _, one in pairs(shown) do
    if one.buf == buf and #one.images > 0 then
      local at = vim.api.nvim_buf_get_extmark_by_id(buf, namespace, one.id, {})[1]
      if at and at >= row and at < nearest then
        found, nearest = one.images, at
      end
    end
  end
  return found
end

function M.unmatched(result)
  local counts = {}
  for _, execution in ipairs(result.executions) do
    table.insert(counts, type(execution.count) == "number" and ("[%d]"):format(execution.count) or execution.state)
  end
  local message = "zmqkernel: outputs of code that this file no longer has: %s (zmqkernel log shows them)"
  vim.notify(message:format(table.concat(counts, " ")), vim.log.levels.INFO)
end

return M
