-- Draws the outputs of each execution as virtual lines under the code that made them.
local M = {}

local LINES = 12 -- of one execution; the rest is counted
local namespace = vim.api.nvim_create_namespace("zmqkernel")
local marks = {} -- execution -> { buf, id }
local groups = { running = "DiagnosticInfo", ok = "DiagnosticOk", error = "DiagnosticError", died = "DiagnosticError" }

vim.api.nvim_set_hl(0, "ZmqKernelOutput", { link = "Comment", default = true })
vim.api.nvim_set_hl(0, "ZmqKernelError", { link = "DiagnosticError", default = true })

-- The text of one output: (text, is an error).
local function text_of(output)
  if output.output_type == "stream" then
    return output.text, output.name == "stderr"
  elseif output.output_type == "error" then
    local trace = table.concat(output.traceback or {}, "\n")
    return trace ~= "" and trace or (output.ename .. ": " .. output.evalue), true
  end
  local data = output.data or {}
  local parts = {}
  if data["text/plain"] then
    table.insert(parts, data["text/plain"])
  end
  for mime in vim.spairs(data) do
    if mime:match("^image/") then
      table.insert(parts, "[" .. mime .. "]")
    end
  end
  return table.concat(parts, "\n"), false
end

local function lines_of(execution)
  local lines = {}
  for _, output in ipairs(execution.outputs) do
    local text, is_error = text_of(output)
    text = text:gsub("\27%[[%d;]*%a", ""):gsub("\n$", "")
    for line in vim.gsplit(text, "\n", { plain = true }) do
      table.insert(lines, { { "  " .. line:gsub("\t", "    "), is_error and "ZmqKernelError" or "ZmqKernelOutput" } })
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

local function status_of(execution)
  local text = execution.state
  if type(execution.count) == "number" then
    text = ("[%d] %s"):format(execution.count, text)
  end
  if execution.duration then
    text = ("%s %.3g s"):format(text, execution.duration)
  end
  return { "  " .. text, groups[execution.state] or "Comment" }
end

local function clear(execution)
  local mark = marks[execution]
  marks[execution] = nil
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
  local known = marks[execution.execution]
  local row = math.min(range["end"].line, vim.api.nvim_buf_line_count(buf) - 1)
  if known and execution.version ~= (vim.lsp.util.buf_versions or {})[buf] then
    -- The text has moved on since; so has the mark, by itself.
    row = vim.api.nvim_buf_get_extmark_by_id(buf, namespace, known.id, {})[1] or row
  end
  local id = vim.api.nvim_buf_set_extmark(buf, namespace, row, 0, {
    id = known and known.id or nil,
    virt_text = { status_of(execution) },
    virt_lines = lines_of(execution),
    invalidate = true,
  })
  marks[execution.execution] = { buf = buf, id = id }
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
